/** One row of the log: its time, its task and its words, with colours, links and marks. */

import { plain, spans } from './ansi.js';
import { el } from './dom.js';
import { pieces } from './links.js';

/** @typedef {import('./log-store.js').Line} Line */
/** @typedef {(line: Line) => string} AddressOf of a line, for a link */
/**
 * What a row shows, kept so that the document is changed only where needed and never read.
 * @typedef {{ item: HTMLElement, link: HTMLAnchorElement, time: HTMLElement, title: HTMLElement, words: HTMLElement, line: Line | null, drawn: string, y: number, look: string }} Row
 */
/** @typedef {{ line: Line, before: Line | undefined, top: boolean, unfolded: boolean, current: boolean, pattern: RegExp | null, version: number, addressOf: AddressOf }} Place */

const MAX_DRAWN_CHARS = 2_000; // of a line; the rest can be copied, but is not drawn
const SAID = /** @type {Record<string, string>} */ ({ error: 'error', warn: 'warning', debug: 'debug', stderr: 'stderr' });
const clock = new Intl.DateTimeFormat([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
const date = new Intl.DateTimeFormat([], { day: 'numeric', month: 'short' });
const both = new Intl.DateTimeFormat([], { dateStyle: 'full', timeStyle: 'medium' });

/** @returns {Row} */
export function newRow() {
  const [time, title, words] = [el('time'), el('span', { class: 'task-title' }), el('span', { class: 'words' })];
  const link = el('a', { class: 'at', tabindex: -1 }, time); // for the pointer: a stop at each line would bury all other stops
  return { item: el('div', { class: 'row', hidden: true }, link, title, words), link, time, title, words, line: null, drawn: '', y: -1, look: '' };
}

/**
 * `before` is the line above; `top`: this one is the first that is visible; `current`: the search stepped to it.
 * @param {Row} row @param {number} y @param {Place} place
 */
export function fillRow(row, y, { line, before, top, unfolded, current, pattern, version, addressOf }) {
  const newDay = isNewDay(line, before);
  const drawn = `${line.id} ${version} ${newDay}`;
  if (row.drawn !== drawn) {
    row.drawn = drawn;
    row.line = line;
    row.time.textContent = newDay ? date.format(line.at) : clock.format(line.at);
    row.time.title = both.format(line.at);
    if (line.seq > 0) row.link.href = addressOf(line);
    else row.link.removeAttribute('href');
    row.title.textContent = line.title;
    row.title.className = `task-title hue-${line.hue}`;
    row.words.replaceChildren(...wordsOf(line, pattern));
    const word = wordFor(line);
    if (word) row.words.dataset.word = word;
    else delete row.words.dataset.word;
  }
  // the title is shown where a block of a task's lines begins, and at the top; so is the word for its tone
  const named = top || line.key !== before?.key;
  const worded = named || line.tone !== before?.tone;
  const look = ['row', `kind-${line.kind}`, `tone-${line.tone || 'plain'}`, !named && 'again', !worded && 'same-tone', newDay && 'dated', newDay && before && 'new-day', unfolded && 'unfolded', current && 'current'].filter(Boolean).join(' ');
  if (row.look !== look) {
    row.look = look;
    row.item.className = look;
  }
  if (row.y !== y) {
    row.y = y;
    row.item.style.transform = `translateY(${y}px)`;
  }
  row.item.hidden = false;
}

/** Whether the date is shown: where a day begins, and above all lines that are not of today. @param {Line} line @param {Line | undefined} before */
function isNewDay(line, before) {
  return new Date(line.at).toDateString() !== new Date(before?.at ?? Date.now()).toDateString();
}

/** What colour alone would show, in a word; none where the line has that word itself. @param {Line} line */
function wordFor({ kind, tone, text }) {
  const word = kind === 'output' && Object.hasOwn(SAID, tone) ? SAID[tone] : '';
  return word && new RegExp(word.slice(0, 4), 'i').test(plain(text.slice(0, 200))) ? '' : word;
}

/** @param {Line} line @param {RegExp | null} pattern @returns {(Node | string)[]} */
function wordsOf({ text }, pattern) {
  const cut = text.length > MAX_DRAWN_CHARS;
  const found = spans(cut ? text.slice(0, MAX_DRAWN_CHARS) : text);
  const nodes = found.flatMap((span, at) => {
    const parts = pieces(span.text, cut && at === found.length - 1).flatMap(({ text: part, href }) => {
      const shown = pattern === null ? [part] : marked(part, pattern);
      // a page that is opened from here learns nothing of this one
      return href ? [el('a', { href, target: '_blank', rel: 'noopener noreferrer' }, ...shown)] : shown;
    });
    return span.classes ? [el('span', { class: span.classes }, ...parts)] : parts;
  });
  return cut ? [...nodes, ' …'] : nodes;
}

/** @param {string} text @param {RegExp} pattern @returns {(string | HTMLElement)[]} */
function marked(text, pattern) {
  const parts = [];
  let from = 0;
  for (const match of text.matchAll(pattern)) {
    parts.push(text.slice(from, match.index), el('mark', { text: match[0] }));
    from = match.index + match[0].length;
  }
  return [...parts, text.slice(from)];
}
