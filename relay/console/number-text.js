/** Numbers of a task as text: its metrics, and how far it is. Pure. */

const DIGITS = 6; // that are shown of a fraction

/** A metric, short. Whole numbers are in full, because they are compared with what was printed elsewhere. @param {number} value */
export function numberText(value) {
  if (Number.isSafeInteger(value)) return String(value);
  const whole = Math.abs(value) <= Number.MAX_SAFE_INTEGER ? String(Math.trunc(Math.abs(value))).length : 0;
  return marked(value, Number(value.toPrecision(Math.max(DIGITS, whole))));
}

/** A metric with all of its digits. @param {number} value */
export const exactText = (value) => marked(value, value);

/** Beyond the integers that JavaScript holds exactly, a number may be the neighbour of the one that was sent. @param {number} value @param {number} shown */
const marked = (value, shown) => (Math.abs(value) > Number.MAX_SAFE_INTEGER ? `≈ ${shown}` : String(shown));

/**
 * A progress in percent, rounded down: 100 is all of it. 0.29 * 100 is below 29, so digits that only
 * binary fractions have are dropped first. The command line has the same rule (percent_text.py).
 * @param {number} progress from 0 to 1
 */
export const percentText = (progress) => String(Math.floor(Number((progress * 100).toFixed(6))));
