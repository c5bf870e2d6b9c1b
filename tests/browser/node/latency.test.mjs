// How long events take, where the two clocks differ and one of them is set.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';

import { Latency } from '../../../relay/console/relay-stream/latency.js';

const HOUR = 3_600_000;
const START = Date.parse('2026-01-31T12:00:00Z');
let passed = 0; // ms since the page was opened
let ahead = 0; // ms that the page's clock is ahead of the server's

beforeEach(() => {
  [passed, ahead] = [1, 0];
  mock.method(performance, 'now', () => passed);
  mock.method(Date, 'now', () => START + passed + ahead);
});
afterEach(() => mock.restoreAll());

/** An event that the server received so long ago. @param {number} [ms] */
const event = (ms = 0) => ({ received_at: new Date(START + passed - ms).toISOString() });

/** @param {Latency} latency @param {number} took */
function live(latency, took) {
  passed += 1000;
  latency.observe(event(took));
  return latency.latest;
}

test('with clocks that agree, the time that an event took', () => {
  const latency = new Latency();
  latency.start();
  assert.equal(live(latency, 40), 40);
  assert.equal(live(latency, 15), 15);
});

test('an event that was stored before the page was live says nothing', () => {
  const latency = new Latency();
  latency.observe(event(40));
  passed += 1000;
  latency.start();
  latency.observe(event(HOUR));
  assert.equal(latency.latest, null);
  assert.equal(live(latency, 40), 40);
});

test('a clock that is behind shows what an event took beyond the fastest', () => {
  ahead = -8 * HOUR;
  const latency = new Latency();
  latency.start();
  assert.equal(live(latency, 10), 0);
  assert.equal(live(latency, 35), 25);
});

test('a clock that was behind counts no longer once it was set', () => {
  ahead = -8 * HOUR;
  const latency = new Latency();
  latency.start();
  assert.equal(live(latency, 10), 0);
  ahead = 0;
  assert.equal(live(latency, 40), 40);
  latency.start(); // the stream has reconnected
  assert.equal(live(latency, 40), 40);
  passed += 9 * HOUR;
  assert.equal(live(latency, 40), 40);
});

test('a clock that is set back goes on from what is known of the server’s', () => {
  const latency = new Latency();
  latency.start();
  assert.equal(live(latency, 0), 0);
  ahead = -8 * HOUR;
  assert.equal(live(latency, 40), 40);
});
