/** One read at a time: what is asked for meanwhile is not begun, and a failure is remembered until the next one. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { OneRead } from '../../../relay/console/one-read.js';

test('a second read is not begun while the first is under way', async () => {
  const reads = new OneRead();
  let finish = () => {};
  const first = reads.begin(() => new Promise((resolve) => { finish = () => resolve(undefined); }));
  assert.equal(reads.loading, true);
  assert.equal(await reads.begin(async () => assert.fail('begun')), false);
  finish();
  assert.equal(await first, true);
  assert.deepEqual([reads.loading, reads.failed], [false, false]);
});

test('a failure counts as a read, and is forgotten with the next one', async () => {
  const reads = new OneRead();
  assert.equal(await reads.begin(async () => { throw new Error('away'); }), true);
  assert.deepEqual([reads.loading, reads.failed], [false, true]);
  assert.equal(await reads.begin(async () => {}), true);
  assert.equal(reads.failed, false);
});
