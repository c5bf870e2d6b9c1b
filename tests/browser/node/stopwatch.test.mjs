// The time since a connection's last message, where the machine sleeps and its clock is set.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';

import { Stopwatch } from '../../../relay/console/relay-stream/timers.js';

const HOUR = 3_600_000;
let steady = 0;
let clock = 0;

beforeEach(() => {
  [steady, clock] = [1_000, Date.parse('2026-01-31T12:00:00Z')];
  mock.method(performance, 'now', () => steady);
  mock.method(Date, 'now', () => clock);
});
afterEach(() => mock.restoreAll());

/** @param {number} ms */
function pass(ms) {
  steady += ms;
  clock += ms;
}

test('the time since it was made, then since it was restarted', () => {
  const stopwatch = new Stopwatch();
  pass(40);
  assert.equal(stopwatch.ms, 40);
  stopwatch.restart();
  assert.equal(stopwatch.ms, 0);
  pass(15);
  assert.equal(stopwatch.ms, 15);
});

test('a clock that is set back hides nothing', () => {
  const stopwatch = new Stopwatch();
  clock -= 24 * HOUR;
  pass(62_500);
  assert.equal(stopwatch.ms, 62_500);
});

test('a night in which the machine slept counts', () => {
  const stopwatch = new Stopwatch();
  clock += 8 * HOUR; // and `performance.now()` stood still
  pass(10);
  assert.equal(stopwatch.ms, 8 * HOUR + 10);
});
