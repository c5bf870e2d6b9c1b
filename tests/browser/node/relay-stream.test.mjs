// node --test tests/browser/node/
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { beforeEach, test } from 'node:test';

import { FakeLine, browser, event, hello, last, module, open, pass, startOver } from './streams.mjs';

const { RelayStream, Sequence, delayFor, parseCursor } = module;

beforeEach(startOver);

test('a cursor is an epoch and a number', () => {
  assert.deepEqual(parseCursor('3f2a.17'), { epoch: '3f2a', seq: 17 });
  for (const broken of ['', '17', '.17', 'a.b', 'a.1 ', 'a.-1']) assert.equal(parseCursor(broken), null);
});

test('waiting grows, is jittered, bounded, and never undercuts the advice of the server', () => {
  assert.equal(delayFor(1, null, () => 0), 250);
  assert.equal(delayFor(4, null, () => 1), 4_000);
  assert.equal(delayFor(50, null, () => 1), 30_000);
  assert.equal(delayFor(1, 10_000, () => 0), 10_000);
  assert.equal(delayFor(1, 1e303, () => 0), 300_000); // of a proxy: a longer timer would end at once
  assert.ok(delayFor(1, 0, () => 0.5) < 300);
});

test('the next event, one seen before, one too far, one of other numbers', () => {
  const sequence = new Sequence();
  sequence.moveTo('e.4');
  assert.deepEqual([5, 4, 6].map((seq) => sequence.judge(event(seq))), ['next', 'duplicate', 'hole']);
  assert.equal(sequence.judge(event(5, 'other')), 'hole');
});

test('duplicates are dropped and the cursor follows', async () => {
  const { stream, seen } = await open();
  last().say(hello('e.0'), event(1), event(2), event(2), event(1), event(3));
  assert.deepEqual(seen.events, [1, 2, 3]);
  assert.equal(stream.cursor, 'e.3');
  stream.close();
});

test('a hole brings the stream back at its cursor', async () => {
  const { stream, seen } = await open();
  last().say(hello('e.0'), event(1), event(3));
  await pass(1_000);
  assert.equal(last().url.searchParams.get('after'), 'e.1');
  last().say(hello('e.1'), event(2), event(3));
  assert.deepEqual(seen.events, [1, 2, 3]);
  stream.close();
});

test('a hole that stays is a gap', async () => {
  const { stream, seen } = await open();
  for (let times = 0; times < 3; times += 1) {
    last().say(hello('e.0'), event(3));
    await pass(5_000);
  }
  assert.deepEqual([seen.gaps, seen.events, FakeLine.opened.length], [[[1, 2]], [3], 3]);
  stream.close();
});

test('another epoch starts over and says why', async () => {
  const { stream, seen } = await open({ after: 'e.7' });
  last().say(hello('f.0', { resumed: false, reason: 'epoch' }), event(1, 'f'));
  assert.deepEqual([seen.hellos[0].reason, stream.cursor, seen.events], ['epoch', 'f.1', [1]]);
  stream.close();
});

test('a gap is told and stepped over', async () => {
  const { stream, seen } = await open();
  last().say(hello('e.0'), { type: 'gap', from: 1, to: 5, cursor: 'e.5' }, event(6));
  assert.deepEqual([seen.gaps, seen.events], [[[1, 5]], [6]]);
  stream.close();
});

test('two sockets that fail before a word: server-sent events, and WebSocket again later', async () => {
  const { stream, seen } = await open();
  last().end();
  await pass(30_000);
  last().end();
  await pass(30_000);
  assert.equal(last().url.pathname, '/api/sse');
  last().sse('hello', hello('e.0'));
  assert.equal(stream.state.transport, 'sse');
  await pass(60_000);
  const probe = FakeLine.opened.findLast((line) => line.url.protocol === 'wss:');
  probe.say(hello('e.0'), event(1));
  assert.equal(stream.state.transport, 'websocket');
  assert.deepEqual(seen.events, [1]);
  stream.close();
});

test('every connect takes a fresh ticket; 4401 asks for a new credential; 4403 is the end', async () => {
  const asked = [];
  let tickets = 0;
  const { stream } = await open({
    getCredential: ({ expired }) => { asked.push(expired); return 'secret'; },
    fetch: async (_url, { headers }) => {
      assert.equal(headers.Authorization, 'Bearer secret');
      return Response.json({ ticket: `t${tickets += 1}` });
    },
  });
  assert.equal(last().url.searchParams.get('ticket'), 't1');
  last().say(hello('e.0'), { type: 'close', code: 4401, reason: 'revoked', retry_after_ms: null });
  last().end(4401);
  await pass(1_000);
  assert.equal(last().url.searchParams.get('ticket'), 't2');
  assert.deepEqual(asked, [false, true]);
  last().say({ type: 'close', code: 4403, reason: 'forbidden', retry_after_ms: null });
  last().end(4403);
  await pass(60_000);
  assert.deepEqual([stream.state.state, stream.state.code, FakeLine.opened.length], ['closed', 4403, 2]);
});

const refusal = (status, type) =>
  Response.json({ type, status, code: 'refused' }, { status, headers: { 'Content-Type': 'application/problem+json' } });

for (const [status, code] of [[401, 4401], [403, 4403]]) {
  test(`a ticket that a proxy refuses with ${status} is asked for again; that Relay does is the end`, async () => {
    const asked = [];
    const answers = [
      new Response('<h1>Sign in</h1>', { status }),
      refusal(status, 'about:blank'),
      Response.json({ ticket: 't' }),
      ...[0, 1, 2, 3, 4].map(() => refusal(status, 'urn:relay:problem:refused')),
    ];
    const { stream } = await open({
      getCredential: ({ expired }) => { asked.push(expired); return 'secret'; },
      fetch: async () => answers.shift(),
    });
    for (let turn = 0; turn < 2; turn += 1) {
      assert.deepEqual([stream.state.state, stream.state.code], ['waiting', 1011]);
      await pass(60_000);
    }
    assert.equal(last().url.searchParams.get('ticket'), 't');
    last().say(hello('e.0'));
    last().end();
    await pass(60_000);
    assert.equal(stream.state.code, code);
    assert.deepEqual(asked.slice(0, 4), [false, false, false, false]);
    assert.equal(stream.state.state, status === 403 ? 'closed' : 'waiting');
    stream.close();
  });
}

test('a stream of a process without its database comes back with its cursor', async () => {
  const { stream } = await open();
  last().say(hello('e.0'), event(1), { type: 'close', code: 1013, reason: 'blind', retry_after_ms: 1_000 });
  last().end(1013);
  assert.deepEqual([stream.state.state, stream.state.code, stream.state.reason], ['waiting', 1013, 'blind']);
  await pass(900);
  assert.equal(FakeLine.opened.length, 1);
  await pass(60_000);
  assert.ok(FakeLine.opened.length >= 2);
  assert.equal(FakeLine.opened[1].url.searchParams.get('after'), 'e.1');
  stream.close();
});

test('4429 waits as long as the server says', async () => {
  const { stream } = await open();
  last().say({ type: 'close', code: 4429, reason: 'too_many_connections', retry_after_ms: 10_000 });
  last().end(4429);
  await pass(9_900);
  assert.equal(FakeLine.opened.length, 1);
  await pass(1_000);
  assert.equal(FakeLine.opened.length, 2);
  stream.close();
});

test('a network that came shortens a wait, but not one that the server set', async () => {
  const { stream } = await open();
  last().end();
  browser.dispatchEvent(new Event('online'));
  await pass(0);
  assert.deepEqual([stream.state.state, FakeLine.opened.length], ['connecting', 2]);
  last().say({ type: 'close', code: 4429, reason: 'too_many_connections', retry_after_ms: 10_000 });
  last().end(4429);
  browser.dispatchEvent(new Event('online'));
  await pass(0);
  assert.deepEqual([stream.state.state, FakeLine.opened.length], ['waiting', 2]);
  stream.close();
});

test('a listener that closes the stream hears no more of it, and nothing opens again', async () => {
  const { stream, seen } = await open();
  stream.addEventListener('event', () => stream.close());
  last().say(hello('e.0'), event(1), event(2));
  assert.deepEqual([seen.events, stream.cursor, stream.state.state], [[1], 'e.1', 'closed']);
  const waiting = await open();
  waiting.stream.addEventListener('state', ({ detail }) => { if (detail.state === 'waiting') waiting.stream.close(); });
  const opened = FakeLine.opened.length;
  last().end();
  await pass(60_000);
  assert.deepEqual([waiting.seen.states.at(-1), FakeLine.opened.length], ['closed', opened]);
});

test('a listener that reconnects gets one connection, whatever the state', async () => {
  const { stream } = await open();
  let wanted = 'waiting';
  stream.addEventListener('state', ({ detail }) => {
    if (detail.state !== wanted) return;
    wanted = '';
    stream.reconnect();
  });
  last().end();
  await pass(0);
  assert.equal(FakeLine.opened.length, 2);
  last().say(hello('e.0'));
  await pass(5_000);
  assert.deepEqual([stream.state.state, FakeLine.opened.length], ['live', 2]);
  wanted = 'closed';
  stream.close();
  await pass(0);
  last().say(hello('e.0'));
  assert.deepEqual([stream.state.state, FakeLine.opened.length], ['live', 3]);
  stream.close();
});

test('silence past two and a half heartbeats is the end of a connection', async () => {
  const { stream } = await open();
  last().say(hello('e.0', { heartbeat_s: 10 }));
  await pass(20_000);
  last().say({ type: 'ping', ts: '' });
  await pass(20_000);
  assert.equal(FakeLine.opened.length, 1);
  await pass(7_000);
  await pass(1_000);
  assert.equal(FakeLine.opened.length, 2);
  stream.close();
});

test('the cursor outlives the page under its key', async () => {
  const kept = new Map();
  const storage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value) };
  const first = await open({ storageKey: 'k', storage });
  last().say(hello('e.0'), event(1), event(2));
  first.stream.close();
  const second = await open({ storageKey: 'k', storage });
  assert.equal(last().url.searchParams.get('after'), 'e.2');
  second.stream.close();
});

test('the types name what there is', async () => {
  const types = await readFile(new URL('../../../relay/console/relay-stream.d.ts', import.meta.url), 'utf8');
  const named = (pattern, text) => [...text.matchAll(pattern)].map(([, name]) => name).sort();
  assert.deepEqual(named(/^export (?:class|function) (\w+)/gm, types), Object.keys(module).sort());
  for (const [made, own] of [[RelayStream, []], [Sequence, Object.keys(new Sequence())]]) {
    const [, body] = new RegExp(`class ${made.name}[^{]*{\n(.*?)^}`, 'ms').exec(types);
    const declared = new Set(named(/^  (?:readonly )?(\w+)[(:]/gm, body));
    for (const inherited of Object.getOwnPropertyNames(EventTarget.prototype)) declared.delete(inherited);
    declared.add('constructor');
    assert.deepEqual([...declared].sort(), [...Object.getOwnPropertyNames(made.prototype), ...own].sort());
  }
});

test('a tab that is behind does not take back the cursor that another one has stored', async () => {
  const kept = new Map();
  const storage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value) };
  const behind = await open({ storageKey: 'seen', storage });
  last().say(hello('e.0'), event(1));
  const ahead = await open({ storageKey: 'seen', storage });
  last().say(hello('e.0'), event(1), event(2), event(3));
  ahead.stream.close();
  behind.stream.close();
  assert.equal(kept.get('seen'), 'e.3');
  const later = await open({ storageKey: 'seen', storage });
  last().say(hello('e.0', { resumed: false, reason: 'ahead' }), event(1)); // restored from a backup
  later.stream.close();
  assert.equal(kept.get('seen'), 'e.1');
});

test('a WebSocket on trial that starts behind a gap repeats nothing', async () => {
  const { stream, seen } = await open({ retryWebSocketAfter: 1_000 });
  for (let failure = 0; failure < 2; failure += 1) {
    last().end();
    await pass(30_000);
  }
  const sse = last();
  sse.sse('hello', hello('e.0'));
  await pass(1_000);
  for (const seq of [1, 2, 3, 4]) sse.onmessage({ data: JSON.stringify(event(seq)) });
  last().say(hello('e.0'), { type: 'gap', from: 1, to: 2, cursor: 'e.2' }, event(3), event(4), event(5));
  assert.deepEqual([seen.events, seen.gaps], [[1, 2, 3, 4, 5], []]);
  stream.close();
});
