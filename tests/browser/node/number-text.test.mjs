// node --test tests/browser/node/
// Numbers of tasks as text, and their charts.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { partOf } from '../../../relay/console/chart-zoom.js';
import { pathOf } from '../../../relay/console/charts.js';
import { eventLines } from '../../../relay/console/event-lines.js';
import { exactText, numberText, percentText } from '../../../relay/console/number-text.js';

test('a whole number is shown in full, a fraction with six digits, and one that is not exact is marked', () => {
  for (const [value, shown, exact] of [
    [123456, '123456'], [12345, '12345'], [99999, '99999'], [1700123456, '1700123456'], [-7, '-7'], [0, '0'], [-0, '0'],
    [Number.MAX_SAFE_INTEGER, '9007199254740991'], [2 ** 53, '≈ 9007200000000000', '≈ 9007199254740992'], [1e308, '≈ 1e+308'],
    [0.99996, '0.99996'], [0.1234567, '0.123457', '0.1234567'], [0.1 + 0.2, '0.3', '0.30000000000000004'], [1e-7, '1e-7'],
    [1700123456.789, '1700123457', '1700123456.789'], [-2.5, '-2.5'],
  ]) assert.deepEqual([numberText(value), exactText(value)], [shown, exact ?? shown]);
});

test('a percentage is rounded down, and is the same on the board, in the log and on the command line', () => {
  for (const [progress, percent] of JSON.parse(readFileSync(new URL('../../support/percents.json', import.meta.url), 'utf8'))) {
    assert.equal(percentText(progress), String(percent));
    const [line] = eventLines({ event_type: 'task_progress', payload: { progress } }).lines;
    assert.equal(line, `${percent} %`);
  }
  for (let thousandths = 0; thousandths <= 1_000; thousandths += 1) assert.equal(percentText(thousandths / 1_000), String(Math.floor(thousandths / 10)));
});

test('numbers of any size have a line', () => {
  const points = (...values) => values.map((value, at) => ({ seq: at, at, value }));
  const heights = (...values) => pathOf(points(...values), Math.min(...values), Math.max(...values)).match(/(?<= )[^L]+/g).map(Number);
  assert.deepEqual(heights(0, 1, 0.5), [34, 2, 18]);
  assert.deepEqual(heights(-1e308, 1e308, 0), [34, 2, 18]);
  assert.deepEqual(heights(-Number.MAX_VALUE, Number.MAX_VALUE), [34, 2]);
  assert.deepEqual(heights(0, Number.MIN_VALUE), [34, 2]);
  assert.deepEqual(heights(3, 3), [18, 18]);
  const all = { name: 'x', points: points(-1e308, 1e308), least: -1e308, most: 1e308, last: 1e308 };
  assert.deepEqual(partOf(all, { from: 0.5, to: 1 }).points.map(({ value }) => value), [0, 1e308]);
});
