// node --test tests/browser/node/
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { FakeLine, event, hello, last, open, pass } from './streams.mjs';
import { FakeChannel, FakeJournal, pair, startTabsOver } from './tabs.mjs';

beforeEach(startTabsOver);

const task = (task_id, state = 'running', more = {}) => ({ task_id, state, run: 1, first_seq: 1, last_seq: 1, hidden: false, ...more });
const snapshot = (tasks, counts, more = {}) => ({ type: 'tasks', cursor: 'e.10', tasks, counts, more: false, ...more });
const changed = (...given) => ({ type: 'task', task: task(...given) });
const states = (stream) => Object.fromEntries([...stream.tasks].map(([id, { state }]) => [id, state]));

/** A stream with tasks; `seen.changes` are what its list reported. */
async function reader(options = {}) {
  const { stream, seen } = await open({ tasks: true, fetch: () => assert.fail('no call is expected'), ...options });
  seen.changes = [];
  stream.tasks.addEventListener('change', ({ detail }) => seen.changes.push(detail));
  return { stream, seen };
}

/** Answers each question for counts with the next of these. */
const counting = (...answers) => async (url) => {
  assert.equal(`${url.pathname}${url.search}`, '/api/tasks?limit=1');
  return Response.json({ counts: answers.length > 1 ? answers.shift() : answers[0], tasks: [], cursor: 'e.11' });
};

test('a stream that does not ask has no tasks', async () => {
  const { stream } = await open();
  assert.equal(last().url.searchParams.has('tasks'), false);
  last().say(hello('e.0'), snapshot([task('a')], { running: 1 }));
  assert.deepEqual([stream.tasks.state, stream.tasks.size], ['off', 0]);
  stream.close();
});

test('the tasks come whole, in parts, and then one by one as they change', async () => {
  const { stream, seen } = await reader();
  assert.equal(last().url.searchParams.get('tasks'), '1');
  assert.equal(stream.tasks.state, 'waiting');
  last().say(hello('e.0'), snapshot([task('a')], { running: 2 }, { more: true }));
  assert.deepEqual([stream.tasks.state, seen.changes], ['waiting', []]);
  last().say(snapshot([task('b')], { running: 2 }), event(1));
  assert.deepEqual([stream.tasks.state, states(stream)], ['ready', { a: 'running', b: 'running' }]);
  last().say(changed('a', 'failed', { last_seq: 2 }), changed('c', 'running', { first_seq: 11 }));
  assert.deepEqual(states(stream), { a: 'failed', b: 'running', c: 'running' });
  assert.deepEqual(stream.tasks.counts, { running: 2, failed: 1 });
  assert.deepEqual(seen.changes.map(({ whole, tasks }) => [whole, tasks.map(({ task_id, before }) => [task_id, before?.state])]), [
    [true, [['a', undefined], ['b', undefined]]], [false, [['a', 'running']]], [false, [['c', undefined]]],
  ]);
  assert.deepEqual([stream.tasks.get('a').state, stream.tasks.has('z'), [...stream.tasks.keys()].length, stream.tasks.cursor], ['failed', false, 3, 'e.10']);
  assert.deepEqual(seen.events, [1]);
  stream.close();
});

test('hidden and forgotten tasks leave the list', async () => {
  const { stream, seen } = await reader();
  last().say(hello('e.0'), snapshot([task('a'), task('b', 'failed')], { running: 1, failed: 1 }));
  last().say(changed('a', 'running', { hidden: true }), { type: 'task', task_id: 'b', deleted: true });
  assert.deepEqual([states(stream), stream.tasks.counts], [{}, { running: 0, failed: 0 }]);
  assert.deepEqual(seen.changes.slice(1).map(({ tasks: [{ task, before }] }) => [task?.hidden, before.task_id]), [[true, 'a'], [undefined, 'b']]);
  stream.close();
});

test('server-sent events bring them, too', async () => {
  const { stream } = await reader();
  for (let times = 0; times < 2; times += 1) {
    last().end();
    await pass(30_000);
  }
  assert.deepEqual([last().url.pathname, last().url.searchParams.get('tasks')], ['/api/sse', '1']);
  last().sse('hello', hello('e.0'));
  last().sse('tasks', snapshot([task('a')], { running: 1 }));
  last().sse('task', changed('a', 'succeeded'));
  assert.deepEqual(states(stream), { a: 'succeeded' });
  stream.close();
});

test('a new connection replaces the list; until then it stays as it was', async () => {
  const { stream, seen } = await reader();
  last().say(hello('e.0'), snapshot([task('a'), task('b')], { running: 2 }), event(1));
  last().end();
  assert.deepEqual(states(stream), { a: 'running', b: 'running' });
  await pass(1_000);
  assert.deepEqual([last().url.searchParams.get('after'), last().url.searchParams.get('tasks')], ['e.1', '1']);
  last().say(hello('e.1'), snapshot([task('a', 'failed')], { failed: 1 }));
  assert.deepEqual([states(stream), stream.tasks.counts], [{ a: 'failed' }, { failed: 1 }]);
  assert.deepEqual(seen.changes.at(-1).tasks.map(({ before }) => before.state), ['running']);
  stream.close();
});

test('a server that does not know tasks is found out by what comes instead, or by silence', async () => {
  for (const instead of [event(1), { type: 'ping', ts: '' }, null]) {
    const { stream, seen } = await reader();
    last().say(hello('e.0'), ...(instead === null ? [] : [instead]));
    if (instead === null) await pass(10_000);
    assert.deepEqual([stream.tasks.state, seen.changes], ['missing', [{ tasks: [], whole: true }]]);
    assert.equal(stream.state.state, 'live');
    last().end();
    await pass(1_000);
    last().say(hello('e.0'), snapshot([task('a')], { running: 1 })); // it was upgraded
    assert.equal(stream.tasks.state, 'ready');
    stream.close();
  }
});

test('the list has the seq since which it is complete', async () => {
  const { stream } = await reader();
  const [old, older] = [task('old', 'failed', { last_seq: 6 }), task('older', 'succeeded', { last_seq: 4 })];
  last().say(hello('e.0'), snapshot([task('a'), old, older], { running: 1, failed: 1, succeeded: 7 }));
  assert.equal(stream.tasks.completeSince, 4);
  last().end();
  await pass(1_000);
  last().say(hello('e.0'), snapshot([task('a'), old, older], { running: 1, failed: 1, succeeded: 1 }));
  assert.equal(stream.tasks.completeSince, 0);
  stream.close();
});

test('a task that may have been counted before is counted by the server, until nothing moves', async () => {
  const { stream } = await reader({ fetch: counting({ running: 2, failed: 5 }, { running: 3, failed: 4 }) });
  last().say(hello('e.0'), snapshot([task('a')], { running: 1, failed: 6 }));
  last().say(changed('old', 'running', { run: 2, first_seq: 11 })); // one of the six failed ones?
  assert.deepEqual(stream.tasks.counts, { running: 2, failed: 6 });
  await pass(1_000);
  assert.deepEqual(stream.tasks.counts, { running: 2, failed: 5 });
  last().say(changed('new', 'running', { first_seq: 12 })); // while the answer was on its way, perhaps
  await pass(1_000);
  assert.deepEqual(stream.tasks.counts, { running: 3, failed: 4 });
  await pass(10_000);
  stream.close();
});

test('of tasks that have ended, the list keeps a thousand', async () => {
  const { stream } = await reader();
  last().say(hello('e.0'), snapshot([], {}));
  for (let number = 0; number <= 1_000; number += 1) {
    last().say(changed(`t${number}`, 'succeeded', { first_seq: 11 + number, last_seq: 11 + number }));
  }
  assert.deepEqual([stream.tasks.size, stream.tasks.has('t100'), stream.tasks.has('t101')], [900, false, true]);
  assert.deepEqual([stream.tasks.completeSince, stream.tasks.counts], [112, { succeeded: 1_001 }]);
  stream.close();
});

test('tabs share the list, whichever came first', async () => {
  const { first, second } = await pair(new FakeJournal(), { tasks: true });
  assert.deepEqual([first.stream.state.leader, second.stream.tasks.state], [true, 'waiting']);
  last().say(snapshot([task('a')], { running: 1 }, { more: true }));
  await pass(0);
  last().say(snapshot([task('b')], { running: 2 })); // a tab that came between the parts asks for all of it
  await pass(0);
  const third = await open({ share: 'us', tasks: true, fetch: new FakeJournal().fetch });
  await pass(0);
  last().say(changed('a', 'failed'));
  await pass(0);
  for (const { stream } of [first, second, third]) {
    assert.deepEqual([states(stream), stream.tasks.counts], [{ a: 'failed', b: 'running' }, { running: 1, failed: 1 }]);
  }
  assert.equal(FakeLine.opened.length, 1);
  first.stream.close(); // the next one leads, and its connection brings the tasks anew
  await pass(0);
  last().say(hello('e.0'), snapshot([task('c')], { running: 1 }));
  await pass(0);
  for (const { stream } of [second, third]) assert.deepEqual(states(stream), { c: 'running' });
  for (const { stream } of [second, third]) stream.close();
});

test('a tab without tasks shares with none that has them', async () => {
  const { first } = await pair(new FakeJournal(), { tasks: true });
  const plain = await open({ share: 'us', fetch: new FakeJournal().fetch });
  assert.equal(FakeLine.opened.length, 2);
  first.stream.close();
  plain.stream.close();
});

test('a leader that was robbed of the connection takes the list of the next one', async () => {
  const { first, second } = await pair(new FakeJournal(), { tasks: true });
  last().say(snapshot([task('a')], { running: 1 }));
  await pass(0);
  const [frozen] = FakeChannel.open;
  frozen.frozen = true;
  await pass(15_000);
  await pass(6_000);
  last().say(hello('e.0'), snapshot([task('b')], { running: 1 })); // which the frozen tab does not hear
  await pass(0);
  frozen.frozen = false;
  last().say({ type: 'ping', ts: '' });
  await pass(0);
  await pass(9_500); // it asks whether the leader is awake
  await pass(0);
  await pass(0);
  assert.deepEqual([first.stream.state.leader, states(first.stream), states(second.stream)], [false, { b: 'running' }, { b: 'running' }]);
  for (const { stream } of [first, second]) stream.close();
});

test('tasks that are late are taken all the same, in every tab', async () => {
  const { first, second } = await pair(new FakeJournal(), { tasks: true });
  await pass(10_000); // a server without its database sends nothing for a while
  const third = await open({ share: 'us', tasks: true, fetch: new FakeJournal().fetch });
  for (let turn = 0; turn < 20; turn += 1) await pass(0);
  assert.deepEqual([first, second, third].map(({ stream }) => stream.tasks.state), ['missing', 'missing', 'missing']);
  last().say(snapshot([task('a')], { running: 1 }));
  for (let turn = 0; turn < 20; turn += 1) await pass(0);
  assert.deepEqual([first, second, third].map(({ stream }) => states(stream)), [{ a: 'running' }, { a: 'running' }, { a: 'running' }]);
  for (const { stream } of [first, second, third]) stream.close();
});

const refusing = (headers = {}) => new Response('{}', { status: 503, headers });
const recounted = [hello('e.0'), snapshot([task('a')], { running: 1 }), changed('old', 'running', { run: 2, first_seq: 11 })];

test('a server that refuses to count is asked less and less often', async () => {
  let asked = 0;
  const { stream } = await reader({ fetch: async () => { asked += 1; return refusing(); } });
  last().say(...recounted);
  for (let second = 0; second < 120; second += 1) await pass(1_000);
  assert.ok(asked > 2 && asked < 20, `${asked} times`);
  stream.close();
});

test('a server that says when it can count is not asked before, whatever changes', async () => {
  const answers = [refusing({ 'Retry-After': '60' }), Response.json({ counts: { running: 9 }, tasks: [], cursor: 'e.11' })];
  const { stream } = await reader({ fetch: async () => answers.shift() });
  last().say(...recounted);
  await pass(1_000);
  last().say(changed('other', 'running', { run: 2, first_seq: 12 }));
  await pass(59_000);
  assert.deepEqual([answers.length, stream.tasks.counts], [1, { running: 3 }]);
  await pass(2_000);
  assert.deepEqual([answers.length, stream.tasks.counts], [0, { running: 9 }]);
  stream.close();
});

test('a stream that was closed while it counted asks no more', async () => {
  let answer;
  let asked = 0;
  const { stream } = await reader({ fetch: () => new Promise((resolve) => { answer = resolve; asked += 1; }) });
  last().say(...recounted);
  await pass(1_000);
  stream.close();
  answer(refusing());
  for (let second = 0; second < 60; second += 1) await pass(1_000);
  assert.equal(asked, 1);
});
