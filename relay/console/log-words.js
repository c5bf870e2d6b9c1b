/** The words of a line, or of a part of it, as nodes: with colours, links and marks. */

import { spans } from './ansi.js';
import { el } from './dom.js';
import { MAX_DRAWN_CHARS } from './log-layout.js';
import { pieces } from './links.js';

/**
 * @param {string} text @param {RegExp | null} pattern what is marked
 * @param {number} from the first character that is drawn, of the text without its colours @param {number} to the one behind the last
 * @returns {(Node | string)[]}
 */
export function drawnWords(text, pattern, from, to) {
  const cut = text.length > MAX_DRAWN_CHARS;
  const found = spans(cut ? text.slice(0, MAX_DRAWN_CHARS) : text);
  let at = 0;
  const nodes = found.flatMap((span, index) => {
    const parts = pieces(span.text, cut && index === found.length - 1).flatMap(({ text: piece, href }) => {
      const begin = at;
      at += piece.length;
      const shown = marked(piece, pattern, from - begin, to - begin);
      // a page that is opened from here learns nothing of this one
      return href && shown.length > 0 ? [el('a', { href, target: '_blank', rel: 'noopener noreferrer' }, ...shown)] : shown;
    });
    return span.classes && parts.length > 0 ? [el('span', { class: span.classes }, ...parts)] : parts;
  });
  return cut && to >= at ? [...nodes, ' …'] : nodes;
}

/** The characters of a text from one to another, with marks. @param {string} text @param {RegExp | null} pattern @param {number} from @param {number} to @returns {(string | HTMLElement)[]} */
function marked(text, pattern, from, to) {
  const parts = /** @type {(string | HTMLElement)[]} */ ([]);
  const add = (/** @type {number} */ begin, /** @type {number} */ end, /** @type {boolean} */ isFound) => {
    const part = text.slice(Math.max(begin, from, 0), Math.max(0, Math.min(end, to)));
    if (part) parts.push(isFound ? el('mark', { text: part }) : part);
  };
  let done = 0;
  for (const match of pattern === null ? [] : text.matchAll(pattern)) {
    add(done, match.index, false);
    done = match.index + match[0].length;
    add(match.index, done, true);
  }
  add(done, text.length, false);
  return parts;
}
