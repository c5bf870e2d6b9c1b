// node --test tests/browser/node/
// The numbers of tasks over time.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { MetricHistory } from '../../../relay/console/metric-history.js';

const event = (seq, metrics, event_type = 'task_progress') => ({ seq, event_type, received_at: new Date(seq * 1000).toISOString(), payload: { metrics } });
const values = (series) => series.map(({ name, points, least, most, last }) => [name, points.map(({ value }) => value), least, most, last]);

test('a number that was reported twice has a course, and its last, least and greatest value', () => {
  const history = new MetricHistory();
  history.add(event(1, { loss: 3, once: 1 }), 'a');
  history.add(event(3, { loss: 1 }), 'a');
  history.add(event(2, { loss: 2 }), 'a'); // read later, as earlier events are
  history.add(event(2, { loss: 2 }), 'a'); // and once more
  history.add(event(4, { loss: 9 }), 'b');
  assert.deepEqual(values(history.of('a', 1)), [['loss', [3, 2, 1], 1, 3, 1]]);
  assert.deepEqual(values(history.of('a', 2)), [['loss', [2, 1], 1, 2, 1]]); // of a later run
  assert.deepEqual(history.of('b', 1), []);
  history.clear();
  assert.deepEqual(history.of('a', 1), []);
});

test('whatever else is there is passed over', () => {
  const history = new MetricHistory();
  for (const metrics of [null, 7, 'x', [1, 2], { x: 'y', z: Infinity, t: true, ok: 1 }]) for (const seq of [1, 2]) history.add(event(seq, metrics), 'a');
  history.add(event(3, { logged: 1 }, 'log'), 'a');
  history.add(event(4, { ok: 1 }), '');
  assert.deepEqual(values(history.of('a', 0)), [['ok', [1, 1], 1, 1, 1]]);
});

test('points, numbers and tasks are bounded, and the last point stays', () => {
  const history = new MetricHistory();
  for (let seq = 1; seq <= 5_000; seq += 1) history.add(event(seq, { loss: seq }), 'a');
  const [{ points, last }] = history.of('a', 0);
  assert.ok(points.length <= 600 && points.length >= 300);
  assert.equal(last, 5_000);
  for (let number = 0; number < 60; number += 1) for (const seq of [1, 2]) history.add(event(seq, { [`m${number}`]: 1 }), 'many');
  assert.equal(history.of('many', 0).length, 32);
  for (let number = 0; number < 50; number += 1) history.add(event(1, { loss: 1 }), `t${number}`);
  assert.deepEqual(history.of('a', 0), []);
});
