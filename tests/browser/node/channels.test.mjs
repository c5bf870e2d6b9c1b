// node --test tests/browser/node/
// What the list of channels says: what a channel is for, how it went, what became of a test.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { deliveryText, healthText, isDecided, kindName, refusalText, rulesText, testText, whereText } from '../../../relay/console/channel-words.js';

const NOW = Date.parse('2026-01-31T12:00:00Z');
const ago = (seconds) => new Date(NOW - seconds * 1000).toISOString();
const channel = (more = {}) => ({
  channel_id: 'c', kind: 'ntfy', shown: { url: 'https://ntfy.sh/…opic' }, on: ['failed'], min_duration_s: 0, unless_watched: true, message: true,
  created_at: ago(600), waiting: 0, delivered_at: null, failed_at: null, last_error: null, ended_at: null, ...more,
});
const delivery = (more = {}) => ({ notification_id: 'm', type: 'task.failed', task_id: 'build', made_at: ago(120), outcome: 'delivered', attempts: 1, status: 200, error: null, ...more });

test('a channel is named by its kind, also one that cannot be added here', () => {
  assert.deepEqual(['ntfy', 'webpush', 'pager', 'constructor'].map(kindName), ['Phone, by ntfy', 'A browser', 'pager', 'constructor']);
  assert.equal(whereText(channel()), 'https://ntfy.sh/…opic');
});

test('the rules are a sentence', () => {
  assert.equal(rulesText(channel()), 'When it fails, while this page is not looked at.');
  const all = channel({ on: ['failed', 'waiting', 'succeeded'], min_duration_s: 120, unless_watched: false });
  assert.equal(rulesText(all), 'When it fails, it waits for you or it succeeds after 2:00.');
});

test('a channel is bad while its last attempt failed, and once it has ended', () => {
  for (const [more, text, bad] of [
    [{}, 'Nothing has arrived yet.', false],
    [{ delivered_at: ago(60) }, 'Last delivery 1 min ago.', false],
    [{ delivered_at: ago(60), waiting: 2 }, 'Last delivery 1 min ago. 2 wait.', false],
    [{ delivered_at: ago(60), failed_at: ago(120), last_error: 'no connection' }, 'Last delivery 1 min ago. Last error 2 min ago: no connection.', false],
    [{ failed_at: ago(120), last_error: 'no connection', waiting: 1 }, 'Nothing has arrived yet. Last error 2 min ago: no connection. 1 waits.', true],
    [{ delivered_at: ago(60), ended_at: ago(5), last_error: 'gone' }, 'Ended just now: gone. Remove it, and add it anew.', true],
  ]) assert.deepEqual(healthText(channel(more), NOW), { text, bad });
});

test('a test is decided by its first attempt', () => {
  for (const [more, decided, text] of [
    [{ outcome: 'waiting' }, false, ''],
    [{ outcome: 'waiting', error: 'no connection' }, true, 'It did not arrive: no connection. Relay tries again.'],
    [{}, true, 'It arrived.'],
    [{ outcome: 'failed', error: 'the receiver answered 403' }, true, 'It did not arrive: the receiver answered 403.'],
    [{ outcome: 'left_out' }, true, 'It did not arrive: Not sent: too many waited.'],
  ]) {
    assert.equal(isDecided(delivery(more)), decided);
    if (decided) assert.equal(testText(delivery(more)).text, text);
  }
});

test('a refusal names the fields as the form does', () => {
  const wrong = [{ where: 'url', message: 'must be a public address' }, { where: 'pager', message: 'is unknown' }];
  assert.equal(refusalText({ message: 'Some fields are invalid.', errors: wrong }), 'The address must be a public address. pager is unknown.');
  assert.equal(refusalText({ message: 'This user has 20 channels.', errors: [] }), 'This user has 20 channels.');
});

test('a delivery is a line', () => {
  assert.equal(deliveryText(delivery(), NOW), '2 min ago, failed build. Arrived.');
  assert.equal(deliveryText(delivery({ type: 'channel.test', task_id: null, attempts: 3, outcome: 'waiting', error: 'no connection' }), NOW), '2 min ago, test. Waiting, 3 tries: no connection.');
});
