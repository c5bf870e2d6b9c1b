/** The lines of the log, up to a limit, and those that pass the filter. Pure. */

import { plain } from './ansi.js';
import { eventLines } from './event-lines.js';

/** @typedef {import('./relay-stream.d.ts').RelayEvent} RelayEvent */
/** @typedef {import('./event-lines.js').Kind} Kind */
/** @typedef {{ key: string, title: string, hue: number }} Named the task of a line; its key is '' without one */
/** @typedef {{ id: number, seq: number, at: number, kind: Kind, tone: string, text: string } & Named} Line `seq` is 0 for a line of the page itself */
/** @typedef {{ key: string | null, kinds: Set<Kind>, query: string }} Filter */

const MAX_LINES = 50_000;
const MAX_CHARS = 32 * 2 ** 20; // what a browser tab on a phone has room for
const SLACK = 5_000; // lines removed at a time, so that the array is rarely moved

export class LogStore {
  /** @type {Line[]} */ lines = [];
  /** @type {Line[] | null} */ #matches = []; // null: no filter, all lines
  /** @type {Filter} */ filter = { key: null, kinds: new Set(['output', 'milestone']), query: '' };
  /** @type {RegExp | null} */ pattern = null;
  #nextId = 0;
  #chars = 0;
  dropped = 0; // of the filtered lines, since the view last read it

  get shown() {
    return this.#matches ?? this.lines;
  }

  /** @param {RelayEvent} event @param {Named} named */
  add(event, named) {
    const at = Date.parse(event.received_at);
    const { kind, tone, lines } = eventLines(event);
    for (const line of lines) this.#push({ id: this.#nextId++, seq: event.seq, at, kind, tone, ...named, text: line });
  }

  /** A line of the page itself, which every filter shows. @param {string} text */
  note(text) {
    this.#push({ id: this.#nextId++, seq: 0, at: Date.now(), kind: 'note', tone: 'note', key: '', title: '', hue: 0, text });
  }

  clear() {
    this.lines = [];
    this.#chars = 0;
    this.refilter(this.filter);
  }

  /** @param {Line} line */
  #push(line) {
    this.lines.push(line);
    this.#chars += line.text.length;
    if (this.#matches !== null && this.#passes(line)) this.#matches.push(line);
    if (this.lines.length > MAX_LINES + SLACK) this.#removeOldest(SLACK);
    else if (this.#chars > MAX_CHARS) this.#removeOldest(Math.ceil(this.lines.length / 10));
  }

  /** @param {number} count */
  #removeOldest(count) {
    for (const line of this.lines.splice(0, count)) this.#chars -= line.text.length;
    if (this.#matches === null) {
      this.dropped += count;
    } else {
      const first = this.lines[0]?.id ?? this.#nextId;
      let removed = 0;
      while (removed < this.#matches.length && this.#matches[removed].id < first) removed += 1;
      this.#matches.splice(0, removed);
      this.dropped += removed;
    }
  }

  /** @param {Filter} filter */
  refilter(filter) {
    this.filter = filter;
    this.pattern = filter.query ? new RegExp(filter.query.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'), 'gi') : null;
    const all = filter.key === null && filter.kinds.size === 3 && this.pattern === null;
    this.#matches = all ? null : this.lines.filter((line) => this.#passes(line));
    this.dropped = 0;
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
