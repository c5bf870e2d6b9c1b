// What the page keeps in the browser, and where there is no storage.
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';

import { store, stored } from '../../../relay/console/storage.js';

/** Puts a storage in place of the browser's. @param {() => unknown} get */
function provide(get) {
  Object.defineProperty(globalThis, 'localStorage', { configurable: true, get });
}

afterEach(() => { delete globalThis.localStorage; });

test('what is stored is found again until it is removed', () => {
  const kept = new Map();
  provide(() => ({
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => kept.set(key, value),
    removeItem: (key) => kept.delete(key),
  }));
  assert.equal(stored('a'), null);
  store('a', 'one');
  assert.equal(stored('a'), 'one');
  store('a', null);
  assert.equal(stored('a'), null);
});

test('without a storage nothing is kept, which differs from nothing stored', () => {
  provide(() => { throw new Error('SecurityError'); });
  store('a', 'one');
  store('a', null);
  assert.equal(stored('a'), undefined);
});

test('a full storage loses the value and nothing else', () => {
  provide(() => ({ getItem: () => 'before', setItem: () => { throw new Error('QuotaExceededError'); } }));
  store('a', 'one');
  assert.equal(stored('a'), 'before');
});
