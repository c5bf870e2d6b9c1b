/** The live page: reads the stream and hands its tasks to the board, and its events to the log. */

import { hashOf, placeOf } from './address.js';
import { announce } from './announcer.js';
import { Asks } from './asks.js';
import { installChannels } from './channels.js';
import { DEMO_TASKS, Demo } from './demo.js';
import { byId, el, icon } from './dom.js';
import { installKeys } from './keys.js';
import { FailureJump } from './log-failure.js';
import { LogHistory } from './log-history.js';
import { LogPane } from './log-pane.js';
import { MetricHistory } from './metric-history.js';
import { Notifier } from './notifier.js';
import { NotifyOffer } from './notify-offer.js';
import { onOpened, startWorker } from './push-device.js';
import { RelayStream, parseCursor } from './relay-stream.js';
import { SecondDevice, openPastedLinks } from './second-device.js';
import { hideNotice, notice, openSession } from './session.js';
import { installThemeToggle, showCounts } from './signals.js';
import { StatusBar } from './status-bar.js';
import { StopButton } from './stop-button.js';
import { TaskHead } from './task-head.js';
import { TaskNames, hueOf, taskIdOf, titleOf } from './task-names.js';
import { installTaskWidth } from './task-width.js';
import { STATE_WORDS, isOver } from './task-words.js';
import { TasksPane } from './tasks-pane.js';
import { TokensDialog } from './tokens.js';
import { reportVisibility } from './visible-page.js';
import { installWelcome, keepGuide, recallTokens, tickSteps } from './welcome.js';

/** @typedef {import('./relay-stream.d.ts').RelayEvent} RelayEvent */
/** @typedef {import('./relay-stream.d.ts').RelayTask} RelayTask */
/** @typedef {import('./relay-stream.d.ts').TaskChanges} TaskChanges */

const TAIL = 1_000; // events of the log that a page load begins with; earlier ones are read when they are scrolled to

const names = new TaskNames();
const metrics = new MetricHistory();
const log = new LogPane({
  addresses: {
    line: ({ seq }) => hashOf({ task: log.store.filter.key, line: seq }),
    task: (key) => hashOf({ task: key, line: null }),
  },
  pick: ({ seq }) => go({ task: log.store.filter.key, line: seq }),
  pickTask: (key) => go({ task: key, line: null }),
});
const past = new LogHistory(log, (id) => head?.find(id), named);
const failure = new FailureJump({
  shown: () => ({ ...placeOf(location.hash), task: log.store.filter.key }),
  find: (id) => head?.find(id),
  lines: () => [log.store.earlier, log.store.lines],
  reach: (seq) => past.reach(seq),
  go: (place) => {
    log.unfilter();
    go(place);
  },
});
const bar = new StatusBar();
const notifier = new Notifier(showProblem);
const offer = new NotifyOffer(notifier);
const asks = new Asks({
  titleOf: (id) => names.get(id), hashOf: (task) => hashOf({ task, line: null }),
  asked: (ask, title) => notifier.asked(ask, title), over: (ask) => notifier.over(ask),
});
const stop = new StopButton((id) => head?.find(id));
const tokens = new TokensDialog();
const device = new SecondDevice();
const demo = new Demo();
/** @type {RelayStream | null} */
let stream = null;
/** @type {TasksPane | null} */
let board = null;
/** @type {TaskHead | null} */
let head = null;
let dirty = true;
let ownTask = false; // there was a task that is not of the demo

/** Shows a place, and makes it the page's address. @param {import('./address.js').Place} place */
function go(place) {
  const hash = hashOf(place);
  if (hash !== hashOf(placeOf(location.hash))) history.pushState(null, '', hash || `${location.pathname}${location.search}`);
  show(place);
}

/** @param {import('./address.js').Place} place */
async function show({ task, line }) {
  if (task !== log.store.filter.key) {
    board?.select(task);
    head?.show(task);
    log.refilter({ key: task });
    past.anew();
  }
  showView(task === null && line === null ? 'tasks' : 'log');
  log.target(0);
  if (line === null) return;
  const address = location.hash;
  const reached = await past.reach(line);
  if (location.hash !== address) return; // another place was chosen meanwhile
  if (reached) log.target(line);
  else showProblem(past.missing);
}

/** What the log shows of an event's task; its numbers go into the charts. @param {RelayEvent} event */
function named(event) {
  const key = taskIdOf(event);
  metrics.add(event, key);
  dirty = true;
  return { key, title: names.of(event, key), hue: hueOf(key) };
}

/** One event that this page cannot show does not hide the next one. @param {CustomEvent<RelayEvent>} event */
function onEvent({ detail: event }) {
  try {
    log.store.add(event, named(event));
  } catch (problem) {
    log.store.note(`Event ${event.seq} cannot be shown (${problem}).`);
  }
  asks.heard(event);
  log.refresh();
  tickSteps(event.task_id);
  bar.count();
}

/** @param {CustomEvent<TaskChanges>} event */
function onTasks({ detail: changes }) {
  board?.apply(changes);
  head?.apply(changes);
  for (const { task, before } of changes.tasks) {
    if (task === null) continue;
    names.learn(task);
    offer.heard(task);
    ownTask ||= !task.task_id.startsWith(DEMO_TASKS);
    if (before === null || isOver(before) || !isOver(task) || task.hidden) continue;
    notifier.ended(task);
    announce(`${titleOf(task)} ${STATE_WORDS[task.state].toLowerCase()}.`);
  }
  dirty = true;
}

/** @param {CustomEvent<import('./relay-stream.d.ts').Hello>} event */
function onHello({ detail: hello }) {
  if (!hello.reason) return;
  // a new epoch: everything stored arrives again and would be shown twice
  metrics.clear();
  const position = parseCursor(hello.cursor);
  past.begin(position?.epoch ?? '', (position?.seq ?? 0) + 1);
  asks.renumber();
  log.store.note('The stream was renumbered, so all stored events are shown again.');
}

/** @param {CustomEvent<import('./relay-stream.d.ts').Gap>} event */
function onGap({ detail: gap }) {
  asks.read(); // the end of one may be among them
  const missing = gap.to - gap.from + 1;
  log.store.note(`${missing.toLocaleString()} older ${missing === 1 ? 'event is' : 'events are'} no longer stored.`);
  log.refresh();
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
  if (stream === null || board === null) return;
  dirty = false;
  asks.draw(Date.now());
  const hasContent = stream.tasks.size > 0 || log.store.lines.length > 0; // a line may belong to no task
  if (hasContent && byId('board').hidden) showBoard();
  board.draw(Date.now());
  head?.draw(Date.now());
  failure.draw();
  byId('demo').hidden = ownTask && !demo.playing;
  stop.draw(head?.find(log.store.filter.key ?? ''), Date.now());
  const { counts } = stream.tasks;
  showCounts({ ...counts, waiting: (counts.waiting ?? 0) + asks.besides(stream.tasks) });
  offer.draw();
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
  if (stream?.state.state === 'closed') return; // the notice that says so leads on, and stays
  notice(message, 'Dismiss').then(hideNotice);
}

function installControls() {
  installThemeToggle();
  installWelcome(showProblem);
  installDemo();
  installKeys({ e: () => failure.jump() });
  installTaskWidth();
  installChannels();
  byId('open-tokens').addEventListener('click', () => tokens.open());
  byId('open-device').prepend(icon('device'));
  byId('open-device').addEventListener('click', () => device.open());
  openPastedLinks();
  byId('retry').addEventListener('click', () => stream?.reconnect());
  byId('head-close').addEventListener('click', () => go({ task: null, line: null }));
  for (const button of byId('views').querySelectorAll('button')) button.addEventListener('click', () => showView(button.dataset.view ?? 'tasks'));
}

/** Notifications lead here, and this device is told, if it is one of the user's channels. */
async function beNotified() {
  onOpened(({ task, ask }) => {
    go({ task, line: null });
    if (ask !== null) asks.focus(ask);
  });
  await startWorker();
  await notifier.begin();
  offer.begin();
}

async function main() {
  installControls();
  bar.tick(null, 1);
  const me = await openSession(showProblem);
  for (const id of ['demo', 'open-tokens', 'open-channels', 'open-device']) byId(id).removeAttribute('disabled');
  const end = parseCursor(me.cursor) ?? { epoch: '', seq: 0 };
  const start = Math.max(0, end.seq - TAIL);
  if (end.seq > 0) showBoard();
  else byId('welcome').hidden = false;
  recallTokens(me.tokens);
  reportVisibility();
  beNotified();

  stream = new RelayStream({ tasks: true, after: `${end.epoch}.${start}`, share: `console ${me.user_id}` });
  const made = new TasksPane(stream.tasks, metrics, (task) => go({ task, line: null }), showProblem);
  board = made;
  head = new TaskHead({
    tasks: stream.tasks, metrics, find: (id) => made.find(id), hide: (task) => made.hide(task), hashOf: (task) => hashOf({ task, line: null }),
  });
  past.begin(end.epoch, start + 1);
  asks.begin(end.seq);
  stream.tasks.addEventListener('change', onTasks);
  stream.addEventListener('event', onEvent);
  stream.addEventListener('hello', onHello);
  stream.addEventListener('gap', onGap);
  stream.addEventListener('state', onState);
  setInterval(drawSoon, 100);
  setInterval(tick, 1000);
  tick();
  window.addEventListener('popstate', () => show(placeOf(location.hash)));
  show(placeOf(location.hash));
  if (new URLSearchParams(location.search).has('demo')) demo.start();
}

main();
