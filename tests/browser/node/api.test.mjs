/** The page's calls of Relay: how long one that failed waits before it is made again. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Problem, call } from '../../../relay/console/api.js';

/** @param {string | null} after the Retry-After of the answer @returns {Promise<Problem>} */
async function refused(after) {
  const headers = after === null ? {} : { 'Retry-After': after };
  globalThis.document = { baseURI: 'https://relay.test/' };
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
