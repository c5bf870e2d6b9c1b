// node --test tests/browser/node/
// What the page knows of asks, and its words for them.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { AskList, SHOWN_AFTER_END_MS } from '../../../relay/console/ask-list.js';
import { answerFault, detailsText, foldedLines, outcomeWords, refusalWords, timeLeft } from '../../../relay/console/ask-words.js';
import { eventLines } from '../../../relay/console/event-lines.js';
import { taskIdOf } from '../../../relay/console/task-names.js';

const NOW = Date.parse('2026-01-31T12:00:00Z');
const ask = (ask_id, more = {}) => ({
  ask_id, question: `Deploy ${ask_id}?`, kind: 'choice', options: ['yes', 'no'], details: null, question_hash: `hash of ${ask_id}`,
  task_id: null, asked_at: `2026-01-31T11:00:${ask_id.padStart(2, '0')}Z`, expires_at: '2026-01-31T13:00:00Z', ...more,
});
const waiting = (one, seq = 10) => ({ event_type: 'task_waiting', seq, payload: { ...one, state: 'open', answer: null, answered_at: null } });
const ended = (ask_id, state, answer = null, seq = 11) => ({ event_type: 'task_answered', seq, payload: { ask_id, state, answer } });
const listed = (...asks) => {
  const list = new AskList();
  list.begin(5);
  list.replace(asks, new Set(), NOW);
  return list;
};
const known = (list) => list.entries().map(({ ask: { ask_id: id }, outcome }) => (outcome ? `${id} ${outcome.state} ${outcome.by}` : id));
const words = (list, id, later = 3_000) => outcomeWords(list.get(id).outcome, NOW + later);

test('open asks are those that were read, and those of later events; the oldest first', () => {
  const list = listed(ask('2'), ask('4'));
  list.heard(waiting(ask('1'), 5), NOW); // of before the reading, which does not have it: it is over
  list.heard(waiting(ask('3')), NOW);
  list.heard(waiting(ask('3')), NOW);
  list.heard(waiting(ask('5', { options: 'yes' })), NOW);
  list.heard({ event_type: 'task_waiting', seq: 12, payload: null }, NOW);
  assert.deepEqual(known(list), ['2', '3', '4']);
});

test('an end that was heard first is not taken back by what was read before it', () => {
  const list = listed(ask('1'));
  assert.equal(list.heard(ended('2', 'withdrawn'), NOW), null);
  assert.equal(list.heard(ended('1', 'paused'), NOW), null);
  list.heard(ended('1', 'answered', 'no'), NOW);
  list.replace([ask('1'), ask('2'), ask('3')], new Set(), NOW);
  assert.deepEqual(known(list), ['1 answered elsewhere', '3']);
});

test('an ask that is no longer read is over, one that came meanwhile is not', () => {
  const list = listed(ask('1'), ask('2'));
  const before = new Set(list.open().map(({ ask: { ask_id: id } }) => id));
  list.heard(waiting(ask('3')), NOW);
  list.replace([ask('2')], before, NOW);
  assert.deepEqual(known(list), ['1 gone unknown', '2', '3']);
  assert.equal(words(list, '1'), 'This question is no longer open.');
  list.heard(ended('1', 'answered', 'yes'), NOW);
  assert.equal(words(list, '1'), 'Answered “yes” in another window or on another device, 3 s ago.');
});

test('what became of an answer of this page', () => {
  const list = listed(...['1', '2', '3', '4', '5', '6', '7', '8', '9'].map((id) => ask(id)));
  for (const id of ['1', '2', '3', '4', '5', '6', '7', '8', '9']) list.sending(id, 'yes');
  assert.equal(list.heard(ended('1', 'answered', 'yes'), NOW), null); // before the answer to its request
  list.accepted('1', NOW);
  assert.equal(words(list, '1'), 'You answered “yes”, 3 s ago.');

  list.heard(ended('2', 'answered', 'no'), NOW);
  list.tooLate('2', { state: 'answered', answer: 'no' }, NOW);
  assert.equal(words(list, '2'), '“no” was answered first, in another window or on another device. Your answer does not count.');
  list.tooLate('3', { state: 'answered', answer: 'yes' }, NOW);
  assert.equal(words(list, '3'), '“yes” was answered first, in another window or on another device. Your answer does not count.');
  list.tooLate('4', { state: 'expired', answer: null }, NOW);
  assert.equal(words(list, '4'), 'This question expired before your answer arrived. Your answer does not count.');
  list.tooLate('5', null, NOW);
  assert.equal(words(list, '5'), 'This question is no longer open. Your answer does not count.');

  list.failed('6', 'no answer', true);
  assert.deepEqual([list.get('6').problem, list.get('6').sent], ['no answer', null]);
  list.sending('6', 'yes');
  list.tooLate('6', { state: 'answered', answer: 'yes' }, NOW); // by the request that had no answer
  assert.equal(words(list, '6'), 'Answered “yes”, 3 s ago.');
  list.failed('9', 'no answer', true);
  list.sending('9', 'no');
  list.tooLate('9', null, NOW); // what counts could not be read: it may be the first answer of this page
  assert.equal(words(list, '9'), 'This question is no longer open.');
  list.heard(ended('7', 'answered', 'yes'), NOW);
  list.failed('7', 'no answer', true); // the event is all that is known of it
  assert.equal(words(list, '7'), 'Answered “yes”, 3 s ago.');

  list.changed(ask('8', { question: 'Another one?', question_hash: 'other' }), 'changed');
  assert.deepEqual([list.get('8').ask.question_hash, list.get('8').problem, list.get('8').sent], ['other', 'changed', null]);
});

test('asks that are over are shown for a while, a few of them, and while they are in use', () => {
  const list = listed(...['1', '2', '3', '4', '5', '6', '7'].map((id) => ask(id)));
  for (const id of ['1', '2', '3', '4', '5', '6']) list.heard(ended(id, 'expired'), NOW + Number(id));
  list.forget(NOW + 10, (id) => id === '1');
  assert.deepEqual(known(list).map((one) => one[0]), ['1', '2', '3', '4', '5', '6', '7']);
  list.forget(NOW + 10, () => false);
  assert.deepEqual(known(list).map((one) => one[0]), ['2', '3', '4', '5', '6', '7']);
  list.forget(NOW + SHOWN_AFTER_END_MS + 3, (id) => id === '2');
  assert.deepEqual(known(list).map((one) => one[0]), ['2', '4', '5', '6', '7']);
  for (let more = 0; more < 110; more += 1) list.heard(waiting(ask(`more-${more}`)), NOW);
  assert.equal(list.open().length, 100);
});

test('the time that is left, in words', () => {
  for (const [seconds, expected] of [[-1, 'its time is over'], [0.5, 'its time is over'], [59.9, 'expires in 59 s'], [60, 'expires in 1 min'],
    [754, 'expires in 12 min'], [5_399, 'expires in 89 min'], [5_400, 'expires in 1 h'], [129_599, 'expires in 35 h'], [604_800, 'expires in 7 days']]) {
    assert.equal(timeLeft(seconds * 1000), expected);
  }
});

test('details are text, whatever they are', () => {
  for (const [details, expected] of [
    [null, ''], [undefined, ''], ['', ''], [0, '0'], [false, 'false'], ['-a\r\n+b\tc', '-a\n+b\tc'], [{ a: [1] }, '{\n  "a": [\n    1\n  ]\n}'],
    [12345678901234567890, '"≈ 12345678901234567000"'], ['\u001b[31mred\u202e', '⟨U+001B⟩[31mred⟨U+202E⟩'],
    ['from \u200f1 → 100\u061c\u200e', 'from ⟨U+200F⟩1 → 100⟨U+061C⟩⟨U+200E⟩'],
  ]) assert.equal(detailsText(details), expected);
  assert.deepEqual([foldedLines('a\nb'), foldedLines('a\n'.repeat(20)), foldedLines('a'.repeat(601))], [0, 21, 1]);
});

test('a text that is no answer is not sent', () => {
  for (const text of ['main', 'two\nlines', '🙂'.repeat(2_000), 'a'.repeat(2_000)]) assert.equal(answerFault(text), '', text.slice(0, 20));
  assert.equal(answerFault(' \n '), 'Write an answer first.');
  assert.equal(answerFault('a'.repeat(2_001)), `An answer has ${(2_000).toLocaleString()} characters at most.`);
  for (const text of ['a\tb', 'a\u0000', '\u009b']) assert.equal(answerFault(text), 'An answer has no control characters, such as tabs.');
});

test('an answer that is refused has a reason', () => {
  const refused = (status, code, retryAfter = 0) => refusalWords({ status, code, message: 'Because.', retryAfter });
  assert.match(refused(0, 'unreachable'), /it is not known whether your answer has arrived/);
  assert.match(refused(503, 'draining'), /it is not known whether your answer has arrived/);
  assert.match(refused(409, 'changed'), /^The question has changed, so your answer was not taken\./);
  assert.equal(refused(429, 'rate_limited', 7), 'Too many answers in a short time. Answer again in 7 s.');
  assert.equal(refused(422, 'invalid'), 'Your answer was not taken: Because.');
});

test('the log has a line of each ask and of its end', () => {
  const lines = (event_type, payload) => {
    const { kind, tone, lines: found } = eventLines({ event_type, payload });
    return [kind, tone, ...found];
  };
  assert.deepEqual(lines('task_waiting', ask('1')), ['milestone', 'asked', 'asks  Deploy 1?  (yes / no)']);
  assert.deepEqual(lines('task_waiting', ask('1', { kind: 'text', options: [], question: 'Which\nbranch?' })), ['milestone', 'asked', 'asks  Which', 'branch?']);
  assert.deepEqual(lines('task_answered', ended('1', 'answered', 'yes').payload), ['milestone', 'answered', 'answered  yes']);
  assert.deepEqual(lines('task_answered', ended('1', 'expired').payload), ['milestone', 'unanswered', 'question expired without an answer']);
  assert.deepEqual(lines('task_answered', ended('1', 'withdrawn').payload), ['milestone', 'unanswered', 'question withdrawn']);
  for (const payload of [null, 7, [], { options: [7] }]) assert.deepEqual(lines('task_waiting', payload), ['milestone', 'asked', 'asks']);
  for (const event_type of ['task_waiting', 'task_answered']) assert.equal(taskIdOf({ event_type, payload: {} }), '');
});
