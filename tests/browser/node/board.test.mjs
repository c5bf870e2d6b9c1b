// node --test tests/browser/node/
// The words of the board for tasks, and which of them it shows.
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { silentTogether } from '../../../relay/console/away.js';
import { Board } from '../../../relay/console/board.js';
import { sha256 } from '../../../relay/console/sha256.js';
import { TaskNames, taskIdOf, titleOf } from '../../../relay/console/task-names.js';
import { elapsed, endedAgo, factsOf, inOrder } from '../../../relay/console/task-words.js';

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

test('a task is called by its latest title, wherever it was heard', () => {
  const names = new TaskNames();
  const event = (payload) => ({ event_type: 'log', payload });
  assert.deepEqual([names.of(event({}), 'a'), names.of(event({ title: 'Train' }), 'a'), names.of(event({}), 'a')], ['a', 'Train', 'Train']);
  names.learn(task('a', 'running', { title: 'Train\nthe model\u0007' }));
  assert.deepEqual([names.of(event({}), 'a'), names.of(event({}), '')], ['Train the model', '']);
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
