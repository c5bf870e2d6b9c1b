/** The live page: the stream in, tasks and log out. Every part does one thing; here they meet. */

import { Demo } from './demo.js';
import { byId, el, icon } from './dom.js';
import { LogPane } from './log-pane.js';
import { RelayStream, parseCursor } from './relay-stream.js';
import { SecondDevice, heedPastedLinks } from './second-device.js';
import { hideNotice, notice, openSession } from './session.js';
import { Notifier, installThemeToggle, showCounts } from './signals.js';
import { StatusBar } from './status-bar.js';
import { TaskCards } from './task-cards.js';
import { TaskModel } from './tasks.js';
import { TokensDialog } from './tokens.js';
import { installWelcome, keepGuide } from './welcome.js';

/** @typedef {import('./relay-stream.d.ts').RelayEvent} RelayEvent */

const HISTORY = 5_000; // events a page load looks back: tasks that began a while ago still show

const tasks = new TaskModel();
const pane = new LogPane();
const cards = new TaskCards(tasks, pickTask);
const bar = new StatusBar();
const notifier = new Notifier(complain);
const tokens = new TokensDialog();
const device = new SecondDevice();
const demo = new Demo();
/** @type {RelayStream | null} */
let stream = null;
let clearedKey = '';
let oldNews = 0; // the seq up to which the stream stood when the page came: no notifications for it
let dirty = true;

/** @param {string | null} key */
function pickTask(key) {
  cards.select(key);
  pane.refilter({ key });
  if (key !== null) showView('log');
}

/** @param {CustomEvent<RelayEvent>} event */
function onEvent({ detail: event }) {
  const { task, ended } = tasks.apply(event);
  pane.store.add(event, task);
  pane.refresh();
  bar.count();
  if (ended && task !== null && event.seq > oldNews) {
    notifier.ended(task);
    byId('announcer').textContent = `${task.title} ${task.state}.`;
  }
  dirty = true;
}

/** @param {CustomEvent<import('./relay-stream.d.ts').Hello>} event */
function onHello({ detail: hello }) {
  if (!hello.reason) return;
  // other numbers, and everything stored comes again: what is shown would double
  tasks.tasks.clear();
  pane.clear();
  pane.store.note('The stream was renumbered and is shown anew.');
}

/** @param {CustomEvent<import('./relay-stream.d.ts').Gap>} event */
function onGap({ detail: gap }) {
  const missing = gap.to - gap.from + 1;
  pane.store.note(`${missing.toLocaleString()} older ${missing === 1 ? 'event is' : 'events are'} no longer stored.`);
  pane.refresh();
}

/** @param {CustomEvent<import('./relay-stream.d.ts').StreamState>} event */
async function onState({ detail: state }) {
  if (stream !== null) bar.show(stream);
  if (state.state !== 'closed') return;
  await (state.code === 4401
    ? notice('Your session has ended, here or in another window. What it showed stays until you leave.', 'Start a new one')
    : notice('Relay refused this page its stream.', 'Try again'));
  location.reload();
}

function showBoard() {
  byId('welcome').hidden = true;
  byId('board').hidden = byId('views').hidden = false;
  keepGuide(() => showView('log'));
}

/** On a phone one of the two is in sight. @param {string} view */
function showView(view) {
  byId('board').dataset.view = view;
  for (const button of byId('views').querySelectorAll('button')) button.setAttribute('aria-pressed', String(button.dataset.view === view));
}

function draw() {
  dirty = false;
  const said = tasks.tasks.size > 0 || pane.store.lines.length > 0; // a line may belong to no task
  if (said && byId('board').hidden) showBoard();
  if (cards.draw(Date.now())) pane.offerTasks(tasks.ordered());
  showCounts(tasks.running, tasks.failed);
}

/** Cards follow at most ten times a second: faster is no easier to read. */
function drawSoon() {
  if (dirty && !document.hidden) draw();
}

let ticked = performance.now();
function tick() {
  const now = performance.now();
  draw(); // elapsed times move; hidden pages still count in their title
  bar.tick(stream, Math.max(0.5, (now - ticked) / 1000));
  ticked = now;
}

function clearFinished() {
  const seq = parseCursor(stream?.cursor ?? '')?.seq ?? 0;
  const gone = tasks.clearFinished(seq);
  if (gone.some((task) => task.key === cards.selected)) pickTask(null);
  try {
    localStorage.setItem(clearedKey, stream?.cursor ?? '');
  } catch { /* cleared for this visit */ }
  draw();
}

/** @param {import('./api.js').Me} me */
function restoreCleared(me) {
  clearedKey = `relay.cleared.${me.user_id}`;
  try {
    const cleared = parseCursor(localStorage.getItem(clearedKey) ?? '');
    if (cleared?.epoch === parseCursor(me.cursor)?.epoch) tasks.clearedSeq = cleared?.seq ?? 0;
  } catch { /* nothing was kept */ }
}

function installDemo() {
  const buttons = [byId('demo'), byId('welcome-demo')];
  for (const button of buttons) button.addEventListener('click', () => (demo.playing ? stopDemo() : demo.start()));
  demo.addEventListener('change', () => {
    for (const button of buttons) {
      const words = demo.playing ? ['Stop', ' the demo'] : ['Play', ' a demo'];
      button.replaceChildren(words[0], el('span', { class: 'word', text: words[1] }));
    }
    byId('demo').classList.toggle('playing', demo.playing);
  });
  demo.addEventListener('problem', (event) => complain(`The demo could not go on: ${/** @type {CustomEvent} */ (event).detail}`));
  window.addEventListener('pagehide', () => demo.stop());
}

function stopDemo() {
  if (new URLSearchParams(location.search).has('demo')) history.replaceState(null, '', location.pathname);
  demo.stop();
}

/** @param {string} message */
function complain(message) {
  notice(message, 'All right').then(hideNotice);
}

async function main() {
  installThemeToggle();
  installWelcome(complain);
  installDemo();
  byId('open-tokens').addEventListener('click', () => tokens.open());
  byId('open-device').append(icon('device'));
  byId('open-device').addEventListener('click', () => device.open());
  heedPastedLinks();
  byId('clear-finished').addEventListener('click', clearFinished);
  byId('retry').addEventListener('click', () => stream?.reconnect());
  for (const button of byId('views').querySelectorAll('button')) button.addEventListener('click', () => showView(button.dataset.view ?? 'tasks'));
  pane.onPick(pickTask);
  bar.tick(null, 1);

  const me = await openSession();
  for (const id of ['demo', 'open-tokens', 'open-device']) byId(id).removeAttribute('disabled');
  restoreCleared(me);
  const head = parseCursor(me.cursor) ?? { epoch: '', seq: 0 };
  oldNews = head.seq;
  if (head.seq > 0) showBoard();
  else byId('welcome').hidden = false;

  stream = new RelayStream({ after: `${head.epoch}.${Math.max(0, head.seq - HISTORY)}`, share: `console ${me.user_id}` });
  stream.addEventListener('event', onEvent);
  stream.addEventListener('hello', onHello);
  stream.addEventListener('gap', onGap);
  stream.addEventListener('state', onState);
  setInterval(drawSoon, 100);
  setInterval(tick, 1000);
  tick();
  if (new URLSearchParams(location.search).has('demo')) demo.start();
}

main();
