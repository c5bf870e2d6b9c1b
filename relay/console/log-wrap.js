/** Where a line is cut so that its parts fit the width of the log. Pure. */

const NARROW = /^[ -~]*$/; // each takes one column
const WIDE = /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;
const JOINED = /[\p{M}\u200b-\u200d\ufe00-\ufe0f]/u; // to the letter before
const TAB = 4; // columns, as in the style sheet

/**
 * Where each part ends, the last one with the text; behind a space where there is one in the second half.
 * @param {string} text without control sequences @param {number} columns of a part, 1 or more @param {number} [first] columns of the first part
 * @returns {number[]}
 */
export function partEnds(text, columns, first = columns) {
  if (NARROW.test(text)) return narrowEnds(text, columns, first);
  const ends = [];
  let [from, at, space, used, room] = [0, 0, 0, 0, first];
  for (const letter of text) {
    if (used + widthOf(letter, used) > room && at > from) {
      const end = space > from + room / 2 ? space : at;
      ends.push(end);
      used = 0;
      for (const moved of text.slice(end, at)) used += widthOf(moved, used);
      [from, space, room] = [end, end, columns];
    }
    used += widthOf(letter, used);
    at += letter.length;
    if (letter === ' ') space = at;
  }
  ends.push(text.length);
  return ends;
}

/**
 * The same without a look at each letter: fifty thousand lines are cut anew when the width of a window changes.
 * @param {string} text each letter of which takes one column @param {number} columns @param {number} first @returns {number[]}
 */
function narrowEnds(text, columns, first) {
  const ends = [];
  for (let [from, room] = [0, first]; text.length - from > room; room = columns) {
    const space = text.slice(from, from + room).lastIndexOf(' ') + 1;
    from += space > room / 2 ? space : room;
    ends.push(from);
  }
  ends.push(text.length);
  return ends;
}

/** @param {string} letter @param {number} used columns before it */
function widthOf(letter, used) {
  if (letter === '\t') return TAB - (used % TAB);
  if (JOINED.test(letter)) return 0;
  return WIDE.test(letter) ? 2 : 1;
}
