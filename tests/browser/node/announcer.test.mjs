// node --test tests/browser/node/
import assert from 'node:assert/strict';
import { mock, test } from 'node:test';

const announcer = { textContent: '' };
globalThis.document = { getElementById: () => announcer };
const { announce } = await import('../../../relay/console/announcer.js');

test('what is announced at once is said together, and of a flood the first', () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  for (const [sentences, said] of [
    [['Build failed.', 'Test succeeded.'], 'Build failed. Test succeeded.'],
    [['Connected.'], 'Connected.'],
    [['1.', '2.', '3.', '4.', '5.'], '1. 2. 3. And 2 more.'],
  ]) {
    for (const sentence of sentences) announce(sentence);
    mock.timers.tick(1_000);
    assert.equal(announcer.textContent, said);
  }
});
