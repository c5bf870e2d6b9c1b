// node --test tests/browser/node/
// The head says that a task is unknown only after an answer that had none.
import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';

/** As much of an element as the head needs. */
const blank = () => ({
  textContent: '', dataset: {}, style: {}, children: [], classList: { toggle() {} }, addEventListener() {}, setAttribute() {}, append() {},
  replaceChildren() {}, removeAttribute() {}, getAttribute: () => null, querySelector: () => null, querySelectorAll: () => [],
});
const elements = new Map();
const element = (id) => elements.get(id) ?? elements.set(id, blank()).get(id);
globalThis.document = { getElementById: element, createElement: blank, createElementNS: blank, baseURI: 'https://relay.test/' };
globalThis.window = { setTimeout: (...given) => setTimeout(...given) };
globalThis.ResizeObserver = class { observe() {} };
const { TaskHead } = await import('../../../relay/console/task-head.js');

const UNKNOWN = 'Relay knows no task of this id any more.';
const UNREAD = 'This task could not be read.';
const TASK = {
  task_id: 'a', state: 'failed', run: 1, title: 'Nightly', progress: null, message: null, started_at: '2026-01-31T12:00:00Z', last_at: '2026-01-31T12:00:05Z',
  ended_at: '2026-01-31T12:00:05Z', duration_s: 5, exit_code: 2, first_seq: 1, last_seq: 2, hidden: false, parent_id: null, url: null, metrics: {},
};
const settled = () => new Promise((resolve) => { setImmediate(resolve); });
const tasks = (...found) => Response.json({ tasks: found, counts: {}, cursor: 'e.9' });
const refusal = (status, code, headers = {}) => Response.json({ type: `urn:relay:problem:${code}`, status, code, detail: 'No.' }, { status, headers });
const state = () => element('head-state').textContent;
let asked = 0;
let answer;

beforeEach(() => {
  asked = 0;
  mock.timers.reset();
  mock.timers.enable({ apis: ['setTimeout'] });
  globalThis.fetch = async () => { asked += 1; return answer(); };
});

const newHead = (find = () => undefined) => new TaskHead({ tasks: new Map(), metrics: { of: () => [] }, find, hide() {}, hashOf: () => '' });

test('a task that Relay does not know is unknown, also by an id that none can have', async () => {
  for (const none of [() => tasks(), () => refusal(422, 'invalid')]) {
    answer = none;
    await newHead().show('a');
    assert.deepEqual([state(), asked], [UNKNOWN, 2]);
    mock.timers.tick(600_000);
    assert.equal(asked, 2);
    asked = 0;
  }
});

test('a task that could not be read is read again, until it was', async () => {
  const away = () => { throw new TypeError('Failed to fetch'); };
  for (const [bad, pause] of [[away, 5_000], [() => refusal(503, 'draining'), 5_000], [() => refusal(429, 'rate_limited', { 'Retry-After': '30' }), 30_000], [() => new Response('<html>', { status: 404 }), 5_000]]) {
    for (const [good, words] of [[() => tasks(TASK), 'Failed'], [() => tasks(), UNKNOWN]]) {
      asked = 0;
      answer = bad;
      const head = newHead();
      await head.show('a');
      assert.deepEqual([state(), asked], [UNREAD, 2]);
      mock.timers.tick(pause - 1);
      await settled();
      assert.deepEqual([state(), asked], [UNREAD, 2]);
      answer = good;
      mock.timers.tick(1);
      await settled();
      assert.equal(state(), words);
      mock.timers.tick(600_000);
      assert.equal(asked, 4);
    }
  }
});

test('what Relay refuses for good is not asked for again, nor what is no longer shown', async () => {
  answer = () => refusal(401, 'invalid_token');
  await newHead().show('a');
  assert.equal(state(), UNREAD);
  answer = () => refusal(503, 'draining');
  const head = newHead();
  await head.show('a');
  await head.show(null);
  mock.timers.tick(600_000);
  assert.equal(asked, 4);
});

test('a task that the list has is shown, whatever became of the read', async () => {
  answer = () => refusal(503, 'draining');
  await newHead(() => TASK).show('a');
  assert.equal(state(), 'Failed');
});
