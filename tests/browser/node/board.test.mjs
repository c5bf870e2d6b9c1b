// node --test tests/browser/node/
// The words of the board for tasks, and which of them it shows.
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { silentTogether } from '../../../relay/console/away.js';
import { Board } from '../../../relay/console/board.js';
import { isCommand } from '../../../relay/console/command-titles.js';
import { sha256 } from '../../../relay/console/sha256.js';
import { TaskNames, taskIdOf, titleOf } from '../../../relay/console/task-names.js';
import { elapsed, endedAgo, factsOf, inOrder, noTasksWords } from '../../../relay/console/task-words.js';
import { UsualTimes, usualTime, usualWords } from '../../../relay/console/usual-times.js';

const NOW = Date.parse('2026-01-31T12:00:00Z');
const ago = (seconds) => new Date(NOW - seconds * 1000).toISOString();
const task = (task_id, state = 'running', more = {}) => ({
  task_id, state, run: 1, title: task_id, progress: null, message: null, started_at: ago(60), last_at: ago(5), ended_at: null,
  lost_at: null, duration_s: null, first_seq: 1, last_seq: 1, hidden: false, ...more,
});

test('a task without an id has the one that the server gives it', () => {
  for (const [payload, id] of [ // of relay.tasks.fold.task_of_payload
    ['{"title":"hello"}', '2cf24dba5fb0a30e'], ['{}', 'e3b0c44298fc1c14'], ['{"title":7}', 'e3b0c44298fc1c14'],
    ['{"title":"a\\u0000b"}', '59b271ae1bbcb1d3'], ['{"title":"\\ud800"}', '8a8de823d5ed3e12'], ['{"title":"é🙂"}', '7382f537af6a5305'],
    ['null', 'e3b0c44298fc1c14'], ['{"title":"one","title":"two"}', '3fc4ccfe745870e2'], ['{"title":"\\ud83d\\ude42"}', 'd06f1525f7913978'],
    ['{"title":"\\udc00\\ud800"}', 'e270aeb347f21655'], [`{"title":"${'x'.repeat(400)}"}`, '7b0bd700ce066ef3'],
  ]) assert.equal(taskIdOf({ event_type: 'task_started', payload: JSON.parse(payload) }), `untitled-${id}`, payload);
  assert.equal(taskIdOf({ event_type: 'log', payload: {} }), '');
  assert.equal(taskIdOf({ event_type: 'log', task_id: 'a', payload: {} }), 'a');
  for (const [text, hash] of [['abc', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
    ['a'.repeat(56), 'b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a'],
    ['a'.repeat(1_000), '41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3']]) assert.equal(sha256(text), hash);
});

test('a message of which nothing is seen takes no room', async () => {
  globalThis.matchMedia = () => ({ matches: false });
  const { heightOf } = await import('../../../relay/console/task-row.js');
  const sources = { groupOf: () => undefined, hasNumbers: () => false };
  const height = (state, message) => heightOf(task('a', state, { message }), sources);
  for (const state of ['failed', 'running']) {
    assert.equal(height(state, '\u001b[0m'), height(state, null));
    assert.ok(height(state, 'boom') > height(state, null));
  }
  assert.equal(height('succeeded', 'boom'), height('succeeded', null));
});

test('a task is called by its latest title, wherever it was heard', () => {
  const names = new TaskNames();
  const event = (payload) => ({ event_type: 'log', payload });
  assert.deepEqual([names.of(event({}), 'a'), names.of(event({ title: 'Train' }), 'a'), names.of(event({}), 'a')], ['a', 'Train', 'Train']);
  names.learn(task('a', 'running', { title: 'Train\nthe model\u0007' }));
  assert.deepEqual([names.of(event({ title: ' \u001b[0m' }), 'a'), names.of(event({}), '')], ['Train the model', '']);
  assert.equal(titleOf({ task_id: 'untitled-2cf24dba5fb0a30e', title: null }), 'Untitled task');
});

test('tasks that need a person come first, then what runs, then what was lost, then what is over', () => {
  const tasks = [
    task('failed', 'failed', { last_seq: 90 }), task('early', 'running', { first_seq: 2 }), task('lost', 'lost', { last_seq: 99 }),
    task('succeeded', 'succeeded', { last_seq: 91 }), task('late', 'running', { first_seq: 3 }), task('waiting', 'waiting'), task('canceled', 'canceled', { last_seq: 92 }),
  ];
  assert.deepEqual(tasks.sort(inOrder).map((one) => one.task_id), ['waiting', 'late', 'early', 'lost', 'canceled', 'succeeded', 'failed']);
});

test('what is known of a task, in words', () => {
  const half = { progress: 0.5, started_at: ago(600) };
  for (const [one, time, facts] of [
    [task('a'), '1:00', ''], [task('a', 'running', half), '10:00', 'about 10 min left'],
    [task('a', 'running', { ...half, last_at: ago(21) }), '10:00', ''], // no estimate without news
    [task('a', 'running', { ...half, last_at: ago(187), run: 3 }), '10:00', 'silent for 3:07 · run 3'],
    [task('a', 'waiting', half), '10:00', 'Needs you'],
    [task('a', 'lost', { ...half, last_at: ago(720) }), '', 'Lost contact · last heard from 12 min ago'],
  ]) assert.deepEqual([elapsed(one, NOW), factsOf(one, NOW)], [time, facts], JSON.stringify(one));
  const over = task('a', 'canceled', { duration_s: 4.25, ended_at: ago(180) });
  assert.deepEqual([elapsed(over, NOW), endedAgo(over, NOW), elapsed({ ...over, duration_s: null }, NOW)], ['4.3 s', '3 min ago', '']);
});

test('why there are no tasks to show', () => {
  const view = { filter: 'all', query: '', hidden: false };
  for (const [look, expected] of [
    [{}, 'No tasks to show. The next one appears here when it starts.'], [{ filter: 'failed' }, 'No task is in this state.'],
    [{ hidden: true }, 'No task is hidden.'], [{ query: 'x' }, 'No task has “x” in its title.'],
    [{ query: 'x', hidden: true }, 'No hidden task has “x” in its title.'],
  ]) {
    assert.equal(noTasksWords('ready', false, { ...view, ...look }), expected);
    assert.equal(noTasksWords('ready', true, { ...view, ...look }), 'The tasks could not be read.');
  }
  assert.equal(noTasksWords('waiting', false, view), 'Reading your tasks …');
  assert.equal(noTasksWords('missing', false, view), 'This Relay has sent no tasks. Its log is beside.');
});

test('tasks that fall silent within one beat of each other did so together', () => {
  const lost = (id, seconds) => task(id, 'lost', { lost_at: ago(seconds) });
  assert.equal(silentTogether([task('a'), lost('b', 10), lost('c', 100), lost('d', 1_000)]), null);
  const { at, tasks } = silentTogether([lost('a', 500), lost('b', 520), task('c'), lost('d', 10), lost('e', 529)]);
  assert.deepEqual([at, tasks.map((one) => one.task_id)], [NOW - 529_000, ['a', 'b', 'e']]);
});

// ── the board, beside a server that answers with pages ────────────────────────────────────────

const asked = [];
let pages = [];
let turned = () => {};

beforeEach(() => {
  asked.length = 0;
  pages = [];
  globalThis.document = { baseURI: 'https://relay.test/' };
  globalThis.fetch = async (url) => {
    asked.push(url.search);
    const page = pages.shift();
    return page ? Response.json({ counts: {}, cursor: 'e.9', ...page }) : Response.json({}, { status: 503 });
  };
});

/** A list of the stream, as the board reads it. */
function list(tasks, counts, completeSince = 0) {
  const known = new Map(tasks.map((one) => [one.task_id, one]));
  return Object.assign(known, { state: 'ready', counts, completeSince });
}

async function board(tasks, ...look) {
  const made = new Board(tasks, () => turned());
  made.apply({ tasks: [], whole: true });
  for (const view of look) made.look(view);
  return { made, ids: () => made.rows().map((one) => one.task_id) };
}

test('filters, counts and the search of titles', async () => {
  const { made, ids } = await board(list([task('a'), task('b', 'failed'), task('Blue', 'succeeded')], { running: 1, failed: 1, succeeded: 1 }));
  assert.deepEqual([ids().length, made.total(3), made.count('all'), made.count('failed'), made.count('waiting')], [3, 3, 3, 1, 0]);
  made.look({ filter: 'failed' });
  assert.deepEqual(ids(), ['b']);
  made.look({ filter: 'all', query: 'B' });
  assert.deepEqual(ids().sort(), ['Blue', 'b']);
  await made.more();
  assert.deepEqual(asked, []); // the list is complete
});

test('older tasks come page by page, and each once', async () => {
  const { made, ids } = await board(list([task('new', 'failed', { last_seq: 8 })], { failed: 4 }, 8));
  assert.deepEqual([ids(), made.total(1)], [['new'], 4]);
  pages = [{ tasks: [task('old', 'failed', { last_seq: 5 })], next: '5' }, { tasks: [task('older', 'failed', { last_seq: 2 }), task('new', 'failed', { last_seq: 8 })] }];
  await Promise.all([made.more(), made.more()]);
  assert.deepEqual([ids(), made.total(2)], [['new', 'old'], 4]);
  await made.more();
  assert.deepEqual([ids(), made.total(3), asked], [['new', 'old', 'older'], 3, ['?limit=100&after=8', '?limit=100&after=5']]);
  await made.more();
  assert.equal(asked.length, 2);
  made.look({ filter: 'failed', query: 'old&' });
  await made.more();
  assert.deepEqual([asked.at(-1), made.failed, made.total(0)], ['?state=failed&q=old%26&limit=100&after=8', true, null]);
});

test('a task that changes moves, wherever it was read', async () => {
  const tasks = list([], { failed: 1, running: 0 }, 8);
  const { made, ids } = await board(tasks);
  pages = [{ tasks: [task('old', 'failed')] }];
  await made.more();
  const again = task('old', 'running', { run: 2 });
  tasks.set('old', again);
  made.apply({ whole: false, tasks: [{ task_id: 'old', task: again, before: null }] });
  assert.deepEqual(made.rows().map(({ state }) => state), ['running']);
  tasks.delete('old');
  made.apply({ whole: false, tasks: [{ task_id: 'old', task: null, before: again }] });
  assert.deepEqual([ids(), made.find('old')], [[], undefined]);
});

test('hidden tasks are a list of their own', async () => {
  const gone = task('gone', 'failed', { hidden: true });
  const { made, ids } = await board(list([task('a')], { running: 1 }), { hidden: true });
  pages = [{ tasks: [gone] }];
  await made.more();
  assert.deepEqual([ids(), asked], [['gone'], ['?hidden=true&limit=100']]);
  made.apply({ whole: false, tasks: [{ task_id: 'a', task: task('a', 'running', { hidden: true }), before: task('a') }] });
  assert.deepEqual(ids(), ['a', 'gone']);
  made.apply({ whole: false, tasks: [{ task_id: 'gone', task: { ...gone, hidden: false }, before: null }] });
  assert.deepEqual(ids(), ['a']);
  made.look({ hidden: false });
  assert.deepEqual(ids(), ['a']);
});

test('groups come as the server orders them, each as it is by now', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const group = (title, seq, tasks = 2) => ({ title, parent_id: null, tasks, last_seq: seq, recent: [], task: task(`${title}-${seq}`, 'failed', { title, last_seq: seq }) });
  let [turns, asked_before] = [0, 0];
  turned = () => { turns += 1; };
  const settled = async () => { for (let at = 0; at < 20; at += 1) await null; };
  const tasks = list([task('b-8', 'running', { title: 'b' })], { running: 1 });
  pages = [{ groups: [group('a', 9), group('b', 8, 1)], next: '8' }, { groups: [group('c', 5)] }];
  const { made, ids } = await board(tasks, { by: 'title', filter: 'failed' });
  await new Promise(setImmediate);
  assert.deepEqual([ids(), made.rows()[1].state, made.total(2)], [['a-9', 'b-8'], 'running', null]);
  assert.deepEqual([made.groupOf({ task_id: 'a-9' })?.tasks, made.groupOf({ task_id: 'b-8' })], [2, undefined]); // one alone is none
  await made.more();
  assert.deepEqual([ids(), made.total(3), made.find('c-5')?.title], [['a-9', 'b-8', 'c-5'], 3, 'c']);
  assert.deepEqual(asked, ['?by=title&state=failed&limit=100', '?by=title&state=failed&limit=100&after=8']);

  // many changes are one reading, which leaves what is behind its page
  pages = [{ groups: [group('b', 12), group('a', 9)], next: '9' }];
  asked_before = asked.length;
  for (let at = 0; at < 50; at += 1) made.apply({ whole: false, tasks: [{ task_id: 'b-12', task: task('b-12'), before: null }] });
  made.apply({ whole: false, tasks: [{ task_id: 'b-8', task: task('b-8'), before: task('b-8') }] }); // changes no group
  turns = 0;
  context.mock.timers.tick(2_000);
  await new Promise(setImmediate);
  await settled();
  assert.deepEqual([ids(), asked.length - asked_before, turns], [['b-12', 'a-9', 'c-5'], 1, 1]);

  made.look({ within: { title: 'a&b' } });
  assert.deepEqual([ids(), made.groupOf({ task_id: 'a-9' })], [[], undefined]);
  tasks.set('x', task('x', 'failed', { title: 'a&b' }));
  assert.deepEqual(ids(), ['x']);
  pages = [{ groups: [group('b', 12)] }, { tasks: [task('old', 'failed', { title: 'b' })] }];
  made.look({ within: null });
  assert.deepEqual(ids(), ['b-12', 'a-9', 'c-5']); // at once, and then as they are by now
  made.look({ within: { title: 'b' } });
  await new Promise(setImmediate);
  tasks.completeSince = 8;
  made.look({ within: { title: 'b' } });
  await made.more();
  assert.deepEqual([ids(), asked.at(-1)], [['old'], '?state=failed&title=b&limit=100&after=8']);
  made.look({ within: null });
  assert.deepEqual(ids(), ['b-12']);
  turned = () => {};
});

test('a server that does not answer is asked again some seconds later', async (context) => {
  context.mock.timers.enable({ apis: ['Date'], now: NOW });
  let passed = 1_000;
  context.mock.method(performance, 'now', () => passed);
  const { made } = await board(list([], { failed: 1 }, 8));
  turned = () => made.more(); // as a list does that has room
  await made.more();
  assert.deepEqual([asked.length, made.failed], [1, true]);
  context.mock.timers.setTime(NOW - 3_600_000); // the clock is set back meanwhile
  passed += 5_000;
  await made.more();
  assert.equal(asked.length, 2);
  turned = () => {};
});

test('what usually takes four minutes', () => {
  const ran = (took, state = 'succeeded') => task('a', state, { title: 'nightly', duration_s: took });
  assert.deepEqual([usualTime([ran(1), ran(2)]), usualTime([ran(300), ran(240), ran(9, 'failed'), ran(10)])], [null, 240]);
  const since = (seconds) => task('now', 'running', { title: 'nightly', started_at: ago(seconds) });
  assert.deepEqual([usualWords(240, since(60), NOW), usualWords(240, since(552), NOW), usualWords(null, since(1), NOW)], ['usually 4:00', 'usually 4:00, now 9:12', '']);
  const known = [ran(240), ran(241), ran(239)];
  const times = new UsualTimes({ values: () => known });
  assert.deepEqual([times.of(since(1)), times.of(task('b')), times.of(task('c', 'running', { title: null }))], [240, null, null]);
  known.push(ran(100), ran(100), ran(100), ran(100));
  assert.equal(times.of(since(1)), 240);
  times.renew();
  assert.equal(times.of(since(1)), 100);
  assert.equal(factsOf(task('a', 'running', { progress: 0.5, started_at: ago(600) }), NOW, 240), 'usually 4:00, now 10:00');
  assert.equal(factsOf(task('a', 'running', { progress: 0.5, started_at: ago(60) }), NOW, 240), 'about 1 min left');
});

test('a title that is a command', () => {
  for (const title of ['make test', './backup.sh /home', 'python3.11 train.py', 'train.py', 'FOO=1 make', '/usr/bin/env true', 'mytool --all', 'bin/rails s', 'npx']) assert.ok(isCommand(title), title);
  for (const title of ['Build the wheel', 'nightly', 'nightly import', 'Train the ranker', 'and/or', 'CI/CD', 'it is - so', 'Untitled task', '', '=']) assert.ok(!isCommand(title), title);
});
