/** One row of the log: a line with its number, its time and its words, or what stands above or in place of lines. */

import { plain } from './ansi.js';
import { el } from './dom.js';
import { MAX_DRAWN_CHARS } from './log-layout.js';
import { drawnWords } from './log-words.js';

/** @typedef {import('./log-store.js').Line} Line */
/** @typedef {import('./log-layout.js').Entry} Entry */
/** @typedef {{ line: (line: Line) => string, task: (key: string) => string }} Addresses for links */
/**
 * What a row shows, kept so that the document is changed only where needed and never read.
 * @typedef {{ item: HTMLElement, link: HTMLAnchorElement, number: HTMLElement, time: HTMLElement, head: HTMLElement, words: HTMLElement, entry: Entry | null, drawn: string, y: number, look: string }} Row
 */
/** @typedef {{ entry: Entry, before: Line | undefined, top: boolean, unfolded: boolean, current: boolean, titled: boolean, pattern: RegExp | null, version: number, addresses: Addresses }} Place */

const TONE_WORDS = /** @type {Record<string, string>} */ ({ error: 'error', warn: 'warning', debug: 'debug', stderr: 'stderr' });
const clock = new Intl.DateTimeFormat([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
const date = new Intl.DateTimeFormat([], { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' });
const both = new Intl.DateTimeFormat([], { dateStyle: 'full', timeStyle: 'medium' });

/** @returns {Row} */
export function newRow() {
  const [number, time, head, words] = [el('span', { class: 'line-number' }), el('time'), el('span', { class: 'row-head' }), el('span', { class: 'words' })];
  const link = el('a', { class: 'at', tabindex: -1 }, number, time); // for the pointer: a stop at each line would bury all other stops
  return { item: el('div', { class: 'row', hidden: true }, link, head, words), link, number, time, head, words, entry: null, drawn: '', y: -1, look: '' };
}

/**
 * `before` is the line above; `top`: this one is the first that is visible; `current`: the search, or
 * an address, leads to it; `titled`: lines of several tasks are shown.
 * @param {Row} row @param {number} y @param {Place} place
 */
export function fillRow(row, y, { entry, before, top, unfolded, current, titled, pattern, version, addresses }) {
  const { what, line } = entry;
  const whole = unfolded || what !== 'line';
  const drawn = `${what} ${line.id} ${whole ? '' : `${entry.from} ${entry.to}`} ${entry.lines} ${version}`;
  if (row.drawn !== drawn) {
    row.drawn = drawn;
    row.entry = entry;
    if (what === 'line') drawLine(row, whole ? { ...entry, from: 0, to: Infinity } : entry, pattern, addresses);
    else {
      row.words.replaceChildren();
      row.head.replaceChildren(headOf(entry, addresses));
    }
  }
  // the number is shown where the lines of an event begin, the word for a tone where a block of such lines does
  const goesOn = entry.from > 0;
  const numbered = top || line.seq !== before?.seq;
  const worded = top || line.key !== before?.key || line.tone !== before?.tone;
  const classes = what === 'line' ? [`kind-${line.kind}`, `tone-${line.tone || 'plain'}`, goesOn && 'goes-on', !numbered && 'same-event', !worded && 'same-tone', unfolded && 'unfolded', current && 'current'] : [];
  const look = ['row', `row-${what}`, titled && line.key && what !== 'day' && `hue-${line.hue}`, ...classes].filter(Boolean).join(' ');
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

/** @param {Row} row @param {Entry} entry @param {RegExp | null} pattern @param {Addresses} addresses */
function drawLine({ link, number, time, words, head }, { line, from, to }, pattern, addresses) {
  head.replaceChildren();
  number.textContent = line.seq > 0 ? String(line.seq) : '';
  time.textContent = clock.format(line.at);
  time.title = both.format(line.at);
  if (line.seq > 0) link.href = addresses.line(line);
  else link.removeAttribute('href');
  words.replaceChildren(...drawnWords(line.text, pattern, from, to));
  const word = from === 0 ? wordFor(line) : '';
  if (word) words.dataset.word = word;
  else delete words.dataset.word;
}

/** @param {Entry} entry @param {Addresses} addresses */
function headOf({ what, line, lines }, addresses) {
  if (what === 'day') return el('span', { text: date.format(line.at) });
  if (what === 'fold') return el('button', { type: 'button', class: 'text', text: `Show ${lines.toLocaleString()} more lines` });
  if (line.key === '') return el('span', { text: 'Lines of no task' });
  return el('a', { class: 'of-task', href: addresses.task(line.key), tabindex: -1, text: line.title }); // the board leads there by keys
}

/** What colour alone would show, in a word; none where the line has that word itself. @param {Line} line */
function wordFor({ kind, tone, text }) {
  const word = kind === 'output' && Object.hasOwn(TONE_WORDS, tone) ? TONE_WORDS[tone] : '';
  return word && new RegExp(word.slice(0, 4), 'i').test(plain(text.slice(0, 200))) ? '' : word;
}
