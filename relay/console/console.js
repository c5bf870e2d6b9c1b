/** The live page: reads the stream and hands each event to the tasks and the log. */

import { Demo } from './demo.js';
import { byId, el, icon } from './dom.js';
import { LogPane } from './log-pane.js';
import { RelayStream, parseCursor } from './relay-stream.js';
import { SecondDevice, openPastedLinks } from './second-device.js';
import { hideNotice, notice, openSession } from './session.js';
import { Notifier, installThemeToggle, showCounts } from './signals.js';
import { StatusBar } from './status-bar.js';
import { TaskCards } from './task-cards.js';
import { TaskModel } from './tasks.js';
import { TokensDialog } from './tokens.js';
import { installWelcome, keepGuide, recallTokens, tickSteps } from './welcome.js';

/** @typedef {import('./relay-stream.d.ts').RelayEvent} RelayEvent */

const HISTORY = 5_000; // events a page load reads back, so that tasks that began earlier are shown

const tasks = new TaskModel();
const pane = new LogPane();
const cards = new TaskCards(tasks, pickTask);
const bar = new StatusBar();
const notifier = new Notifier(showProblem);
const tokens = new TokensDialog();
const device = new SecondDevice();
const demo = new Demo();
/** @type {RelayStream | null} */
let stream = null;
let clearedKey = '';
let seqAtLoad = 0; // the stream's last seq when the page loaded: no notifications up to it
let dirty = true;

/** @param {string | null} key */
function pickTask(key) {
  cards.select(key);
  pane.refilter({ key });
  if (key !== null) showView('log');
}

/** One event that this page cannot show does not hide the next one. @param {CustomEvent<RelayEvent>} event */
function onEvent({ detail: event }) {
  try {
    show(event);
  } catch (problem) {
    pane.store.note(`Event ${event.seq} cannot be shown (${problem}).`);
    pane.refresh();
  }
}

/** @param {RelayEvent} event */
function show(event) {
  const { task, ended } = tasks.apply(event);
  pane.store.add(event, task);
  pane.refresh();
  tickSteps(event.task_id);
  bar.count();
  if (ended && task !== null && event.seq > seqAtLoad) {
    notifier.ended(task);
    byId('announcer').textContent = `${task.title} ${task.state}.`;
  }
  dirty = true;
}

/** @param {CustomEvent<import('./relay-stream.d.ts').Hello>} event */
function onHello({ detail: hello }) {
  if (!hello.reason) return;
  // a new epoch: everything stored arrives again and would be shown twice
  tasks.tasks.clear();
  pane.clear();
  pane.store.note('The stream was renumbered, so all stored events are shown again.');
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
    ? notice('Your session has ended, here or in another window. What it showed stays until you leave this page.', 'Start a new stream')
    : notice('Relay refused to open the stream.', 'Try again'));
  location.reload();
}

function showBoard() {
  byId('welcome').hidden = true;
  byId('board').hidden = byId('views').hidden = false;
  keepGuide(() => showView('log'));
}

/** On a phone only one of the two views is visible. @param {string} view */
function showView(view) {
  byId('board').dataset.view = view;
  for (const button of byId('views').querySelectorAll('button')) button.setAttribute('aria-pressed', String(button.dataset.view === view));
}

function draw() {
  dirty = false;
  const hasContent = tasks.tasks.size > 0 || pane.store.lines.length > 0; // a line may belong to no task
  if (hasContent && byId('board').hidden) showBoard();
  if (cards.draw(Date.now())) pane.offerTasks(tasks.ordered());
  showCounts(tasks.running, tasks.failed);
}

/** Called ten times a second: drawing more often is no easier to read. */
function drawSoon() {
  if (dirty && !document.hidden) draw();
}

let ticked = performance.now();
function tick() {
  const now = performance.now();
  draw(); // elapsed times change, and a hidden page's title shows the counts
  bar.tick(stream, Math.max(0.5, (now - ticked) / 1000));
  ticked = now;
}

function clearFinished() {
  const seq = parseCursor(stream?.cursor ?? '')?.seq ?? 0;
  const gone = tasks.clearFinished(seq);
  if (gone.some((task) => task.key === cards.selected)) pickTask(null);
  try {
    localStorage.setItem(clearedKey, stream?.cursor ?? '');
  } catch { /* no storage: cleared for this visit only */ }
  draw();
}

/** @param {import('./api.js').Me} me */
function restoreCleared(me) {
  clearedKey = `relay.cleared.${me.user_id}`;
  try {
    const cleared = parseCursor(localStorage.getItem(clearedKey) ?? '');
    if (cleared?.epoch === parseCursor(me.cursor)?.epoch) tasks.clearedSeq = cleared?.seq ?? 0;
  } catch { /* no storage */ }
}

function installDemo() {
  const buttons = [byId('demo'), byId('welcome-demo')];
  for (const button of buttons) button.addEventListener('click', () => (demo.playing ? stopDemo() : demo.start()));
  demo.addEventListener('change', () => {
    for (const button of buttons) {
      const label = demo.playing ? ['Stop', ' the demo'] : ['Play', ' a demo'];
      button.replaceChildren(label[0], el('span', { class: 'word', text: label[1] }));
    }
    byId('demo').classList.toggle('playing', demo.playing);
  });
  demo.addEventListener('problem', (event) => showProblem(`The demo stopped: ${/** @type {CustomEvent} */ (event).detail}`));
  window.addEventListener('pagehide', () => demo.stop());
}

function stopDemo() {
  if (new URLSearchParams(location.search).has('demo')) history.replaceState(null, '', location.pathname);
  demo.stop();
}

/** @param {string} message */
function showProblem(message) {
  notice(message, 'Dismiss').then(hideNotice);
}

async function main() {
  installThemeToggle();
  installWelcome(showProblem);
  installDemo();
  byId('open-tokens').addEventListener('click', () => tokens.open());
  byId('open-device').prepend(icon('device'));
  byId('open-device').addEventListener('click', () => device.open());
  openPastedLinks();
  byId('clear-finished').addEventListener('click', clearFinished);
  byId('retry').addEventListener('click', () => stream?.reconnect());
  for (const button of byId('views').querySelectorAll('button')) button.addEventListener('click', () => showView(button.dataset.view ?? 'tasks'));
  pane.onPick(pickTask);
  bar.tick(null, 1);

  const me = await openSession(showProblem);
  for (const id of ['demo', 'open-tokens', 'open-device']) byId(id).removeAttribute('disabled');
  restoreCleared(me);
  const head = parseCursor(me.cursor) ?? { epoch: '', seq: 0 };
  seqAtLoad = head.seq;
  if (head.seq > 0) showBoard();
  else byId('welcome').hidden = false;
  recallTokens(me.tokens);

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
