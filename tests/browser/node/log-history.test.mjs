// node --test tests/browser/node/
// Earlier lines come as long as the log does not begin with the first one, whatever happened before.
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

const elements = new Map();
const element = (id) => elements.get(id) ?? elements.set(id, { textContent: '', addEventListener() {} }).get(id);
globalThis.document = { getElementById: element, baseURI: 'https://relay.test/' };
const { LogHistory } = await import('../../../relay/console/log-history.js');
const { LogStore } = await import('../../../relay/console/log-store.js');

const NO_TASK = { key: '', title: '', hue: 0 };
const event = (seq) => ({ seq, event_type: 'log', received_at: '2026-01-01T00:00:00Z', payload: { message: `line ${seq}` } });
const read = () => new Promise((resolve) => { setImmediate(resolve); });
let asked = 0;
let answer;

beforeEach(() => {
  asked = 0;
  answer = ({ searchParams: query }) => {
    const after = Number(query.get('after').split('.')[1]);
    return Response.json({ events: [event(after + 1)], cursor: 'e.60000', resumed: true, oldest: 1 });
  };
  globalThis.fetch = async (url) => { asked += 1; return answer(url); };
});

/** The log from a seq on; `top()` is a redraw at its first line, `redraw()` one elsewhere. @param {number} seq */
function logFrom(seq) {
  const store = new LogStore();
  let reached = () => {};
  const pane = { store, begin: (first) => store.begin(first), refresh() {}, onTop: (then) => { reached = then; } };
  const past = new LogHistory(pane, () => undefined, () => NO_TASK);
  past.begin('e', seq);
  return { past, store, top: async () => { reached(true); await read(); }, redraw: () => reached(false) };
}

test('lines that a flood took away are read again', async () => {
  const { past, store, top } = logFrom(1);
  await top();
  assert.deepEqual([past.state, asked], ['start', 0]);
  for (let seq = 1; seq <= 55_001; seq += 1) store.add(event(seq), NO_TASK);
  assert.equal(store.shown[0].seq, 5_001);
  await top();
  assert.equal(asked, 1);
  assert.ok(store.shown[0].seq < 5_001);
});

test('a log without room is not read again at each line, and is when there is room', async () => {
  const { past, store, top } = logFrom(1_000);
  const large = (seq) => ({ ...event(seq), payload: { message: 'x'.repeat(2 ** 20) } });
  for (let seq = 1_000; seq < 1_030; seq += 1) store.add(large(seq), NO_TASK);
  answer = () => Response.json({ events: [990, 991, 992].map(large), cursor: 'e.60000', resumed: true, oldest: 1 });
  await top();
  assert.deepEqual([past.state, asked, store.earlier.length], ['full', 1, 3]);
  store.add(event(1_030), NO_TASK); // for which the earlier ones go away
  await top();
  assert.deepEqual([past.state, asked, store.earlier.length], ['full', 1, 0]);
  for (let seq = 1_031; seq < 1_035; seq += 1) store.add(large(seq), NO_TASK); // and now the oldest
  await top();
  assert.equal(asked, 2);
});

test('an answer that breaks off, or that is a page of a proxy, can be asked for again', async () => {
  const brokenOff = () => new Response(new ReadableStream({ start: (body) => body.error(new TypeError('network error')) }));
  for (const bad of [() => new Response('<html>'), brokenOff]) {
    const { past, top, redraw } = logFrom(1_000);
    answer = bad;
    await top();
    redraw();
    assert.deepEqual([past.state, element('earlier').disabled], ['failed', false]);
  }
});
