// node --test tests/browser/node/
// A call of the page ends: with what the server answered, or with a problem that says that it did not.
import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';

globalThis.document = { baseURI: 'https://relay.test/' };
const { Problem, call } = await import('../../../relay/console/api.js');

/** A refusal as Relay makes it. @param {number} status @param {string} code @param {string} detail */
const refusal = (status, code, detail, headers = {}) => Response.json({ type: `urn:relay:problem:${code}`, status, code, detail }, { status, headers });
const UNREACHABLE = { name: 'Error', status: 0, code: 'unreachable', message: 'Relay does not answer.' };
const brokenOff = () => new Response(new ReadableStream({ start: (body) => body.error(new TypeError('network error')) }));
let deadline;

beforeEach(() => {
  deadline = new AbortController();
  mock.method(AbortSignal, 'timeout', () => deadline.signal);
});

test('what the server answers, and what it refuses', async () => {
  globalThis.fetch = async () => Response.json({ cursor: 'e.1' });
  assert.deepEqual(await call('GET', 'api/me'), { cursor: 'e.1' });
  globalThis.fetch = async () => new Response(null, { status: 204 });
  assert.equal(await call('DELETE', 'api/session'), null);
  globalThis.fetch = async () => refusal(503, 'busy', 'Later.', { 'Retry-After': '7' });
  await assert.rejects(call('GET', 'api/me'), { status: 503, code: 'busy', message: 'Later.', retryAfter: 7 });
  globalThis.fetch = async () => refusal(404, 'not_found', 'There is none.');
  await assert.rejects(call('GET', 'api/asks/a1'), { status: 404, code: 'not_found', message: 'There is none.' });
});

test('a refusal of another program is none of Relay', async () => {
  const words = (status) => `Another program answered ${status} in place of Relay.`;
  const page = (status) => new Response('<html>', { status, headers: { 'Retry-After': '7' } });
  for (const status of [400, 401, 403, 404, 410, 413, 422]) {
    globalThis.fetch = async () => page(status);
    await assert.rejects(call('GET', 'api/me'), { status: 0, code: 'foreign', message: words(status), retryAfter: 7 });
  }
  for (const status of [429, 500, 502, 503, 504]) { // these pass, whichever program they are of
    globalThis.fetch = async () => page(status);
    await assert.rejects(call('GET', 'api/me'), { status, code: 'foreign', message: words(status), retryAfter: 7 });
  }
  for (const body of [null, 'gone', [], {}, { code: 'not_found', detail: 'no backend' }, { type: 'about:blank', status: 404 }, { type: 7, status: 404 },
    { type: 'urn:relay:problem:not_found', status: 410, code: 'not_found' }]) {
    globalThis.fetch = async () => Response.json(body, { status: 404 });
    await assert.rejects(call('GET', 'api/me'), { status: 0, code: 'foreign', message: words(404), errors: [] }, JSON.stringify(body));
  }
});

test('no answer, one that breaks off and a page of a proxy are problems of one kind', async () => {
  for (const answer of [() => { throw new TypeError('Failed to fetch'); }, brokenOff, () => new Response('<html>Log in to this network</html>')]) {
    globalThis.fetch = async () => answer();
    const problem = await call('GET', 'api/me').catch((found) => found);
    assert.ok(problem instanceof Problem);
    assert.deepEqual({ name: problem.name, status: problem.status, code: problem.code, message: problem.message }, UNREACHABLE);
  }
});

/** Answers never, or with a body that never ends; as a browser does, it rejects when its signal aborts. */
const silent = (_url, { signal }) => new Promise((_resolve, reject) => { signal.addEventListener('abort', () => reject(signal.reason)); });
const endless = async (_url, { signal }) =>
  new Response(new ReadableStream({ start: (body) => signal.addEventListener('abort', () => body.error(signal.reason)) }));

test('a call has a deadline, also one that its caller may end', async () => {
  for (const fetch of [silent, endless]) {
    for (const options of [{}, { signal: new AbortController().signal }]) {
      deadline = new AbortController();
      globalThis.fetch = fetch;
      const called = call('GET', 'api/me', options);
      deadline.abort(new DOMException('too late', 'TimeoutError'));
      await assert.rejects(called, UNREACHABLE);
    }
  }
});

test('a call that its caller ends is no problem of the server', async () => {
  globalThis.fetch = silent;
  const caller = new AbortController();
  const called = call('GET', 'api/me', { signal: caller.signal });
  caller.abort();
  await assert.rejects(called, { name: 'AbortError' });
});

/** @param {string | null} after the Retry-After of the answer @returns {Promise<Problem>} */
async function refused(after) {
  const headers = after === null ? {} : { 'Retry-After': after };
  globalThis.fetch = async () => new Response('<html>busy</html>', { status: 503, headers });
  const problem = await call('GET', 'api/me').catch((failure) => failure);
  assert.ok(problem instanceof Problem);
  return problem;
}

test('a call is made again when its answer asks for it, within bounds', async () => {
  const cases = { 7: 7, 0: 1, '-5': 1, soon: 1, 3600: 300, '1e300': 300, Infinity: 300 };
  for (const [after, pause] of Object.entries(cases)) assert.equal((await refused(after)).pause, pause, after);
  assert.equal((await refused(null)).pause, 1);
});
