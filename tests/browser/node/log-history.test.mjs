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
  const refreshed = { times: 0 };
  const pane = { store, begin: (first) => store.begin(first), refresh() { refreshed.times += 1; }, onTop: (then) => { reached = then; } };
  const past = new LogHistory(pane, () => undefined, () => NO_TASK);
  past.begin('e', seq);
  return { past, store, refreshed, top: async () => { reached(true); await read(); }, redraw: () => reached(false) };
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

test('a log is empty for one of several reasons', async () => {
  const words = () => element('no-lines').textContent;
  const away = () => Response.json({}, { status: 503 });
  const nothing = (oldest) => () => Response.json({ events: [], cursor: 'e.60000', resumed: true, oldest });
  for (const [answered, state, expected] of [
    [away, 'failed', 'The log of this task could not be read.'],
    [() => { throw new TypeError('Failed to fetch'); }, 'failed', 'The log of this task could not be read.'],
    [nothing(1), 'start', 'This task has printed nothing yet.'],
    [nothing(900), 'trimmed', 'Nothing of the log of this task is stored any more.'],
  ]) {
    const { past, store, top, redraw } = logFrom(1_000);
    store.refilter({ ...store.filter, key: 'a' });
    past.anew();
    answer = answered;
    await top();
    redraw();
    assert.deepEqual([past.state, words()], [state, expected]);
  }
  const { past, store, top } = logFrom(1_000);
  for (let seq = 1_000; seq < 1_032; seq += 1) store.add({ ...event(seq), payload: { message: 'x'.repeat(2 ** 20) } }, NO_TASK);
  store.refilter({ ...store.filter, key: 'a' });
  past.anew();
  await top();
  await top();
  assert.deepEqual([past.state, words()], ['full', 'This page has no room for the log of this task. Download it.']);
});

test('a read that fails after another task was chosen leaves the log to be read', async () => {
  const { past, store, refreshed, top, redraw } = logFrom(1_000);
  let fail = () => {};
  answer = () => new Promise((_resolve, reject) => { fail = reject; });
  await top();
  store.refilter({ ...store.filter, key: 'a' });
  past.anew();
  redraw();
  assert.equal(element('no-lines').textContent, ''); // nothing is known yet
  const before = refreshed.times;
  fail(new TypeError('Failed to fetch'));
  await read();
  assert.deepEqual([past.state, refreshed.times], ['idle', before + 1]);
});

test('a line that could not be read is not called gone', async () => {
  const { past } = logFrom(1_000);
  answer = () => Response.json({}, { status: 429 });
  assert.deepEqual([await past.reach(10), past.missing], [false, 'This line could not be read. Reload the page to try again.']);
  answer = () => Response.json({ events: [], cursor: 'e.60000', resumed: true, oldest: 900 });
  assert.equal(await past.reach(10), false);
  assert.match(past.missing, /^This line is no longer stored, or is too far back/);
});
