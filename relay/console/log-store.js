/** The lines of the log, up to a limit, and those that pass the filter. Pure. */

import { plain } from './ansi.js';
import { eventLines } from './event-lines.js';

/** @typedef {import('./relay-stream.d.ts').RelayEvent} RelayEvent */
/** @typedef {import('./event-lines.js').Kind} Kind */
/** @typedef {{ key: string, title: string, hue: number }} Named the task of a line; its key is '' without one */
/** @typedef {{ id: number, seq: number, at: number, kind: Kind, tone: string, text: string } & Named} Line `seq` is 0 for a line of the page itself */
/** @typedef {{ key: string | null, kinds: Set<Kind>, query: string }} Filter */
/**
 * What places the lines that pass the filter, and is kept up to date.
 * @typedef {{
 *   rebuild: (lines: Line[], filter: Filter, others: boolean) => void, append: (line: Line) => void,
 *   prepend: (lines: Line[], all: Line[], filter: Filter) => void, trim: (kept: Line[]) => void,
 * }} Layout
 */

const MAX_LINES = 50_000;
const MAX_CHARS = 32 * 2 ** 20; // what a browser tab on a phone has room for
const SLACK = 5_000; // lines removed at a time, so that the array is rarely moved

/**
 * `lines` are of all tasks, from the seq `since` on. `earlier` are older ones of the chosen task, or
 * of all tasks while none is chosen, from the seq `earlierSince` on.
 */
export class LogStore {
  /** @type {Line[]} */ lines = [];
  /** @type {Line[]} */ earlier = [];
  since = 1;
  earlierSince = 1;
  /** @type {Line[] | null} */ #matches = []; // null: all lines
  /** @type {Filter} */ filter = { key: null, kinds: new Set(['output', 'milestone']), query: '' };
  /** @type {RegExp | null} */ pattern = null;
  #nextId = 0;
  #firstId = 0; // of earlier lines; it counts down
  #chars = 0;
  dropped = 0; // lines removed at the top of the filtered ones since the view last read it; negative: added there
  #layout;

  /** @param {Layout} [layout] */
  constructor(layout) {
    this.#layout = layout;
  }

  get shown() {
    return this.#matches ?? this.lines;
  }

  /** Whether there is room for more earlier lines. */
  get full() {
    return this.earlier.length >= MAX_LINES || this.#chars >= MAX_CHARS;
  }

  /** Begins anew, with the event of this seq. @param {number} seq */
  begin(seq) {
    this.lines = [];
    this.earlier = [];
    this.#chars = 0;
    this.since = this.earlierSince = seq;
    this.refilter(this.filter);
  }

  /** @param {RelayEvent} event @param {Named} named */
  add(event, named) {
    for (const line of this.#linesOf(event, named)) this.#push({ ...line, id: this.#nextId++ });
  }

  /** Adds older events in front of all others. @param {{ event: RelayEvent, named: Named }[]} events in order @param {number} since the seq from which on none is missing */
  addEarlier(events, since) {
    const lines = events.flatMap(({ event, named }) => this.#linesOf(event, named));
    this.#firstId -= lines.length;
    lines.forEach((line, at) => { line.id = this.#firstId + at; });
    this.earlier = [...lines, ...this.earlier];
    this.earlierSince = since;
    for (const { text } of lines) this.#chars += text.length;
    const found = lines.filter((line) => this.#passes(line));
    if (found.length === 0) return;
    this.#matches = [...found, ...this.shown];
    this.dropped -= found.length;
    this.#layout?.prepend(found, this.shown, this.filter);
  }

  /** A line of the page itself, which every filter shows. @param {string} text */
  note(text) {
    this.#push({ id: this.#nextId++, seq: 0, at: Date.now(), kind: 'note', tone: 'note', key: '', title: '', hue: 0, text });
  }

  /** @param {RelayEvent} event @param {Named} named @returns {Line[]} */
  #linesOf(event, named) {
    const at = Date.parse(event.received_at);
    const { kind, tone, lines } = eventLines(event);
    return lines.map((text) => ({ id: 0, seq: event.seq, at, kind, tone, ...named, text }));
  }

  /** @param {Line} line */
  #push(line) {
    this.lines.push(line);
    this.#chars += line.text.length;
    if (this.#passes(line)) {
      this.#matches?.push(line);
      this.#layout?.append(line);
    }
    if (this.lines.length > MAX_LINES + SLACK) this.#removeOldest(SLACK);
    else if (this.#chars > MAX_CHARS && this.earlier.length === 0) this.#removeOldest(Math.ceil(this.lines.length / 10));
    else if (this.#chars > MAX_CHARS) this.#removeOldest(0);
  }

  /** Removes the earlier lines, and as many of the others. @param {number} count */
  #removeOldest(count) {
    for (const { text } of this.earlier) this.#chars -= text.length;
    for (const { text } of this.lines.splice(0, count)) this.#chars -= text.length;
    const first = this.lines.find(({ seq }) => seq > 0);
    if (count > 0 && first) this.since = first.seq; // of its event some lines may be gone; they are not read again
    this.earlier = [];
    this.earlierSince = this.since;
    if (this.#matches === null) this.dropped += count;
    else this.#removeMatches(this.lines[0]?.id ?? this.#nextId);
    this.#layout?.trim(this.shown);
  }

  /** @param {number} kept the id from which on they are kept */
  #removeMatches(kept) {
    if (this.#matches === null) return;
    let removed = 0;
    while (removed < this.#matches.length && this.#matches[removed].id < kept) removed += 1;
    this.#matches.splice(0, removed);
    this.dropped += removed;
    if (!this.#isFiltered) this.#matches = null;
  }

  get #isFiltered() {
    return this.filter.key !== null || this.filter.kinds.size < 3 || this.pattern !== null;
  }

  /** @param {Filter} filter */
  refilter(filter) {
    const others = filter.key !== this.filter.key;
    if (others) {
      for (const { text } of this.earlier) this.#chars -= text.length;
      this.earlier = [];
      this.earlierSince = this.since;
    }
    this.filter = filter;
    this.pattern = filter.query ? new RegExp(filter.query.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'), 'gi') : null;
    const all = !this.#isFiltered && this.earlier.length === 0;
    this.#matches = all ? null : [...this.earlier, ...this.lines].filter((line) => this.#passes(line));
    this.dropped = 0;
    this.#layout?.rebuild(this.shown, filter, others);
  }

  /** @param {Line} line */
  #passes(line) {
    const { key, kinds } = this.filter;
    if (line.kind === 'note') return true;
    if (key !== null && line.key !== key) return false;
    if (!kinds.has(line.kind)) return false;
    if (this.pattern === null) return true;
    return plain(line.text).search(this.pattern) !== -1; // unlike test, search does not change lastIndex
  }
}
