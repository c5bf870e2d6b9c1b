// node --test tests/browser/node/
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { failureIn } from '../../../relay/console/log-failure.js';
import { LogStore } from '../../../relay/console/log-store.js';

const named = (key) => ({ key, title: key, hue: 0 });
const event = (seq, message, { type = 'log', ...more } = {}) => ({ seq, event_type: type, received_at: '2026-01-31T12:00:00Z', payload: { message, ...more } });

test('a failure is where the run ended, and the last error before it', () => {
  const store = new LogStore();
  const add = (seq, ...more) => store.add(event(seq, ...more), named('a'));
  const task = { task_id: 'a', first_seq: 3, last_seq: 9 };
  const found = () => {
    const { error, end, apart } = failureIn([store.earlier, store.lines], task);
    return [error?.text, end?.text, apart];
  };
  add(1, 'of the run before', { stream: 'stderr' });
  add(2, '', { type: 'task_failed' });
  add(3, '', { type: 'task_started' });
  assert.deepEqual(found(), [undefined, undefined, 0]);
  add(4, 'it breaks', { level: 'error' });
  add(5, 'and goes on');
  store.add(event(6, 'of another', { level: 'error' }), named('b'));
  add(7, 'to its end\nand over');
  add(8, 'out of words', { type: 'task_failed', exit_code: 2 });
  add(9, 'late');
  assert.deepEqual(found(), ['it breaks', 'failed  exit 2  out of words', 3]);
  add(10, 'it breaks again', { stream: 'stderr' }); // of the next run
  assert.deepEqual(found(), ['it breaks', 'failed  exit 2  out of words', 3]);
});
