// node --test tests/browser/node/
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { FakeLine, event, hello, last, module, open, pass, settle } from './streams.mjs';
import { FakeChannel, FakeJournal, pair, startTabsOver } from './tabs.mjs';

beforeEach(startTabsOver);

const turns = async () => { for (let turn = 0; turn < 20; turn += 1) await settle(); };

test('one tab holds the connection, all get the events', async () => {
  const { first, second } = await pair();
  last().say(event(1), event(2));
  await turns();
  assert.deepEqual([first.seen.events, second.seen.events, FakeLine.opened.length], [[1, 2], [1, 2], 1]);
  assert.deepEqual([first.stream.state.leader, second.stream.state.leader], [true, false]);
  assert.deepEqual([second.stream.state.state, second.stream.state.transport], ['live', 'websocket']);
  for (const { stream } of [first, second]) stream.close();
});

test('a tab that closes hands the connection on, at the cursor of the next', async () => {
  const { first, second } = await pair();
  last().say(event(1));
  await turns();
  first.stream.close();
  await turns();
  assert.deepEqual([FakeLine.opened.length, last().url.searchParams.get('after')], [2, 'e.1']);
  last().say(hello('e.1'), event(2));
  assert.deepEqual([first.seen.events, second.seen.events], [[1], [1, 2]]);
  assert.deepEqual([second.stream.state.state, second.stream.state.leader], ['live', true]);
  second.stream.close();
});

test('what is posted while a page is read comes after it, once', async () => {
  const journal = new FakeJournal();
  const { first, second } = await pair(journal);
  await turns();
  let release;
  journal.held = new Promise((resolve) => { release = resolve; });
  journal.stored = [1, 2, 3].map((seq) => event(seq));
  const late = await open({ share: 'us', fetch: journal.fetch });
  await turns();
  last().say(...[1, 2, 3].map((seq) => event(seq)));
  last().say(event(4), event(5));
  await turns();
  assert.deepEqual([late.seen.events, second.seen.events], [[], [1, 2, 3, 4, 5]]);
  journal.stored.push(event(4), event(5));
  release();
  await turns();
  assert.deepEqual(late.seen.events, [1, 2, 3, 4, 5]);
  for (const { stream } of [first, second, late]) stream.close();
});

test('what is gone before a tab follows is a gap', async () => {
  const journal = new FakeJournal();
  journal.stored = [event(4), event(5)];
  journal.oldest = 4;
  const { first, second } = await pair(journal);
  await turns();
  assert.deepEqual([second.seen.gaps, second.seen.events], [[[1, 3]], [4, 5]]);
  for (const { stream } of [first, second]) stream.close();
});

test('a refusal for good ends the stream in all tabs', async () => {
  const { first, second } = await pair();
  last().say({ type: 'close', code: 4403, reason: 'forbidden', retry_after_ms: null });
  last().end(4403);
  await turns();
  for (const { stream } of [first, second]) {
    assert.deepEqual([stream.state.state, stream.state.code], ['closed', 4403]);
  }
  assert.equal(FakeLine.opened.length, 1);
});

test('a leader that answers nothing loses the connection, and follows when it wakes', async () => {
  const { first, second } = await pair();
  const [frozen] = FakeChannel.open;
  frozen.frozen = true;
  await pass(15_000); // the other asks,
  await pass(6_000); // gets no answer, and takes the lock
  await turns();
  frozen.frozen = false;
  last().say(hello('e.0'), event(1));
  await turns();
  assert.deepEqual([first.stream.state.leader, second.stream.state.leader], [false, true]);
  assert.deepEqual([first.seen.events, second.seen.events], [[1], [1]]);
  assert.deepEqual(FakeLine.opened.map(({ closed = false }) => closed), [true, false]);
  for (const { stream } of [first, second]) stream.close();
});

test('a tab that lost the connection takes it back from one that answers nothing', async () => {
  const { first, second } = await pair();
  for (const channel of FakeChannel.open) channel.frozen = true;
  await pass(15_000);
  await pass(6_000);
  assert.deepEqual(FakeLine.opened.map(({ closed = false }) => closed), [true, false]);
  await pass(6_000);
  assert.deepEqual(FakeLine.opened.map(({ closed = false }) => closed), [true, true, false]);
  for (const { stream } of [first, second]) stream.close();
});

test('a stream that is closed and revived before it began joins once', async () => {
  const { first, second } = await pair();
  const joined = FakeChannel.open.size;
  const third = new module.RelayStream({ url: 'https://relay.test/', share: 'us', fetch: new FakeJournal().fetch });
  third.close();
  third.reconnect();
  await turns();
  assert.equal(FakeChannel.open.size, joined + 1);
  for (const stream of [first.stream, second.stream, third]) stream.close();
  assert.equal(FakeChannel.open.size, 0);
});

test('where locks or channels are forbidden, as in a sandboxed frame, each tab has its own connection', async () => {
  const refuse = () => { throw new DOMException('not allowed in this context', 'SecurityError'); };
  const locks = { request: async () => refuse() };
  Object.defineProperty(globalThis, 'navigator', { value: { locks, onLine: true }, configurable: true });
  for (const channel of [FakeChannel, class { constructor() { refuse(); } }]) {
    globalThis.BroadcastChannel = channel;
    const { stream, seen } = await open({ share: 'us' });
    await turns();
    last().say(hello('e.0'), event(1));
    assert.deepEqual([stream.state.state, seen.events], ['live', [1]]);
    stream.close();
  }
  assert.equal(FakeLine.opened.length, 2);
});
