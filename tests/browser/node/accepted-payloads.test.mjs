// node --test tests/browser/node/
// Whatever the server takes as an event has lines in the log and a task, and harms no other one.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { spans } from '../../../relay/console/ansi.js';
import { eventLines, jsonText } from '../../../relay/console/event-lines.js';
import { LogStore } from '../../../relay/console/log-store.js';
import { TaskNames, hueOf, taskIdOf } from '../../../relay/console/task-names.js';
import { duration } from '../../../relay/console/times.js';

let seq = 0;
/** An event as it comes off the wire: the payload is text that JSON.parse reads. */
const event = (event_type, payload, more = {}) => ({
  id: 'i', seq: (seq += 1), cursor: `e.${seq}`, event_type, task_id: 'odd', payload: JSON.parse(payload),
  ts: '2026-01-31T12:00:00Z', received_at: '2026-01-31T12:00:00.000Z', ...more,
});
const lineOf = (type, payload) => eventLines(event(type, payload)).lines.join('\n');

// the payload as it was sent, and how the log shows a `log` event of it
const LOGS = [
  ['{"n":1e309}', '{"n":"≈ Infinity"}'],
  ['{"n":-1e309}', '{"n":"≈ -Infinity"}'],
  [`{"n":${'9'.repeat(4_301)}}`, '{"n":"≈ Infinity"}'],
  ['{"n":9007199254740993}', '{"n":"≈ 9007199254740992"}'],
  ['{"n":9007199254740991}', '{"n":9007199254740991}'],
  ['1e309', '"≈ Infinity"'],
  ['null', 'null'],
  ['"a\\nb"', 'a\nb'],
  ['{"message":7}', '7'],
  ['{"message":{"a":[1e309]}}', '{"a":["≈ Infinity"]}'],
  ['{"message":null}', '{"message":null}'],
  ['{"message":"","stream":"stdout"}', ''],
  ['{"message":"\\n"}', ''],
  ['{"message":"a\\n\\n"}', 'a\n'],
  ['{"message":"one","message":"two"}', 'two'],
  ['{"__proto__":{"message":"never"}}', '{"__proto__":{"message":"never"}}'],
  ['{"toString":1,"constructor":null,"hasOwnProperty":"x","toJSON":2}', '{"toString":1,"constructor":null,"hasOwnProperty":"x","toJSON":2}'],
  ['{"message":"\\ud800 alone"}', '\ud800 alone'],
  ['{"x":"\\udc00"}', '{"x":"\\udc00"}'],
  [`${'['.repeat(64)}${']'.repeat(64)}`, `${'['.repeat(64)}${']'.repeat(64)}`],
  ['{"message":"a\\u2028b\\u2029c"}', 'a\nb\nc'],
];

test('a log event of any payload has lines, and no number is shown as another one', () => {
  for (const [payload, shown] of LOGS) assert.equal(lineOf('log', payload), shown, payload.slice(0, 80));
});

test('a field that is not what it should be is shown as it was sent', () => {
  for (const [payload, shown] of [
    ['{"progress":0.5}', '50 %'], ['{"progress":-0}', '0 %'], ['{"progress":1}', '100 %'],
    ['{"progress":"50%"}', '50%'], ['{"progress":1e309}', '"≈ Infinity"'], ['{"progress":7}', '7'],
    ['{"progress":-0.1}', '-0.1'], ['{"progress":[1]}', '[1]'], ['{"progress":null}', 'progress'],
    ['{"progress":0.5,"message":{"a":1}}', '50 %  {"a":1}'], ['7', 'progress'],
  ]) assert.equal(lineOf('task_progress', payload), shown, payload);
  for (const [payload, shown] of [
    ['{"exit_code":2}', 'failed  exit 2'], ['{"exit_code":"137"}', 'failed  exit 137'],
    ['{"exit_code":1e309}', 'failed  exit "≈ Infinity"'], ['{"exit_code":null}', 'failed'],
    ['{"exit_code":{"a":0}}', 'failed  exit {"a":0}'], ['{"message":["a"]}', 'failed  ["a"]'],
  ]) assert.equal(lineOf('task_failed', payload), shown, payload);
});

test('a title of any shape is one line of text, or the id', () => {
  for (const [payload, title] of [
    ['{"title":{}}', 'odd'], ['{"title":7}', 'odd'], ['{"title":["x"]}', 'odd'], ['{"title":""}', 'odd'],
    ['{"title":"\\u0007\\u202e"}', 'odd'], ['{"title":"\\ud800"}', '\ud800'], ['{"title":"a\\nb\\t c"}', 'a b c'],
    ['{"__proto__":{"title":"never"}}', 'odd'], ['null', 'odd'], ['[1]', 'odd'],
  ]) assert.equal(new TaskNames().of(event('task_started', payload), 'odd'), title, payload);
});

test('a duration is shown, however odd', () => {
  assert.deepEqual([1e300, -0, 0.04, 0.05, 9.9, 9.97, 59, 59.97, 3600].map((seconds) => duration(seconds, false)),
    ['over 100 years', '< 0.1 s', '< 0.1 s', '0.1 s', '9.9 s', '10 s', '59 s', '1:00', '1:00:00']);
});

test('whole seconds that count on are not rounded up', () => {
  assert.deepEqual([9.97, 59.97].map((seconds) => duration(seconds, true)), ['9 s', '59 s']);
});

test('every event of the table goes into the log, and the next one too', () => {
  const names = new TaskNames();
  const store = new LogStore();
  const add = (one) => {
    const key = taskIdOf(one);
    store.add(one, { key, title: names.of(one, key), hue: hueOf(key) });
  };
  for (const type of ['task_started', 'task_progress', 'log', 'task_failed', 'task_succeeded']) {
    for (const [payload] of LOGS) for (const task_id of ['odd', undefined]) add(event(type, payload, { task_id }));
  }
  for (const line of store.lines) for (const { text } of spans(line.text)) assert.equal(typeof text, 'string');
  add(event('log', '{"message":"the next one"}'));
  assert.equal(store.lines.at(-1).text, 'the next one');
  assert.equal(typeof jsonText({ line: store.lines.at(-1) }), 'string');
});
