/** What the log shows from top to bottom, in entries of one height: lines or parts of them, titles, days, folds. Pure. */

import { plain } from './ansi.js';
import { partEnds } from './log-wrap.js';
import { sameDay } from './times.js';

/** @typedef {import('./log-store.js').Line} Line */
/** @typedef {import('./log-store.js').Filter} Filter */
/** @typedef {'line' | 'title' | 'day' | 'fold'} What */
/**
 * A line, or its part from a character to another one; the title or the day above a line; or lines
 * that are folded: from `line` to `last`, so many.
 * @typedef {{ what: What, line: Line, from: number, to: number, last: Line, lines: number }} Entry
 */

export const MAX_DRAWN_CHARS = 2_000; // of a line; the rest can be copied, but is not drawn
const MOST_LINES = 1_000; // of one task in a row
const FIRST_LINES = 100; // of them stay above a fold, the others below it
const SLACK = 100; // that a fold hides at least, and that come until it hides more
const WORD_COLUMNS = 10; // of the word for a tone, before the line

export class LogLayout {
  /** @type {Entry[]} */ entries = [];
  folding = true; // while the log follows its end: what is being read does not vanish
  titled = true; // all tasks are shown
  above = 0; // entries added at the top less those removed there, since the view last read it
  #folds = true; // in a search each line found is shown
  #columns = 0; // 0: lines are not wrapped
  /** @type {Line | undefined} */ #last;
  /** @type {Line | undefined} */ #lastOfTask; // notes are no part of a block
  #block = newBlock(0);
  /** @type {Set<number>} */ #opened = new Set(); // first lines of folds that were opened

  /** Other lines are shown. @param {Line[]} lines @param {Filter} filter @param {boolean} others of which none was there before */
  rebuild(lines, { key, query }, others = false) {
    this.titled = key === null;
    this.#folds = query === '';
    if (others) this.#opened.clear();
    this.#anew();
    const { folding } = this;
    this.folding = true;
    for (const line of lines) this.append(line);
    this.folding = folding;
  }

  #anew() {
    this.entries = [];
    this.#last = this.#lastOfTask = undefined;
    this.#block = newBlock(0);
  }

  /** @param {Line} line */
  append(line) {
    const begins = line.kind !== 'note' && isBeginning(line, this.#lastOfTask);
    this.entries.push(...this.#above(line, this.#last, this.#lastOfTask));
    if (begins) this.#block = newBlock(this.entries.length);
    this.#push(this.entries, line);
    this.#last = line;
    if (line.kind !== 'note') this.#lastOfTask = line;
    this.#block.lines += 1;
    if (this.#opened.size > 0 && this.#opened.has(line.id)) this.#block.open = true;
    this.fold();
  }

  /** Puts older lines in front. @param {Line[]} lines that are new @param {Line[]} all @param {Filter} filter */
  prepend(lines, all, filter) {
    const first = this.entries[0];
    if (this.folding || first === undefined) return this.rebuild(all, filter);
    const removed = this.#takeHeads();
    const made = this.#made(lines);
    made.push(...this.#above(first.line, lines[lines.length - 1], lines.findLast(({ kind }) => kind !== 'note')));
    this.entries = made.concat(this.entries);
    this.#shift(made.length - removed);
  }

  /** Removes the oldest lines. @param {Line[]} kept lines that are shown further on */
  trim(kept) {
    if (kept.length === 0) return this.#anew();
    let count = 0;
    while (this.entries[count].last.id < kept[0].id) count += 1;
    const gone = this.entries.splice(0, count);
    this.#block.lines -= gone.slice(this.#block.start).reduce((sum, entry) => sum + (entry.what === 'fold' ? 0 : linesOf(entry)), 0);
    const [first] = this.entries;
    if (first.what === 'fold') Object.assign(first, { line: kept[0], lines: indexOfLine(kept, first.last) + 1 });
    const removed = count + this.#takeHeads();
    const heads = this.#above(kept[0], undefined, undefined);
    this.entries.unshift(...heads);
    this.#shift(heads.length - removed);
  }

  /** Hides the middle of the last block if it is long. */
  fold() {
    const block = this.#block;
    if (!this.#folds || !this.folding || block.open || block.lines <= MOST_LINES + SLACK) return;
    const { entries } = this;
    const old = block.fold === null ? -1 : entries.indexOf(block.fold, block.start);
    const from = old >= 0 ? old : passLines(entries, block.start, FIRST_LINES, 1);
    const until = passLines(entries, entries.length - 1, MOST_LINES - FIRST_LINES, -1) + 1;
    const hidden = entries.slice(from, until);
    const lines = hidden.reduce((sum, entry) => sum + linesOf(entry), 0);
    const [{ line }, last] = [hidden[0], hidden.findLast(({ what }) => what !== 'day') ?? hidden[0]];
    block.lines -= lines - (old >= 0 ? hidden[0].lines : 0);
    block.fold = { ...entryOf('fold', line), last: last.last, lines };
    const day = hidden.findLast(({ what }) => what === 'day'); // of the lines below
    entries.splice(from, until - from, block.fold, ...(day ? [{ ...day, last: last.last }] : []));
  }

  /** Shows folded lines. @param {Entry} fold @param {Line[]} lines all that are shown */
  open(fold, lines) {
    const at = this.entries.indexOf(fold);
    if (at < 0) return;
    this.#opened.add(fold.line.id);
    const after = this.entries[at + 1];
    const taken = after?.what === 'day' && after.line.id <= fold.last.id ? 2 : 1; // the opened lines have that day themselves
    const first = indexOfLine(lines, fold.line);
    const made = this.#made(lines.slice(first, indexOfLine(lines, fold.last) + 1), lines[first - 1]);
    this.entries = [...this.entries.slice(0, at), ...made, ...this.entries.slice(at + taken)];
    if (at < this.#block.start) this.#block.start += made.length - taken;
    else Object.assign(this.#block, { open: true, fold: null, lines: this.#block.lines + fold.lines });
  }

  /** Opens the fold that a line is in. @param {Line} line @param {Line[]} lines all that are shown */
  openAround(line, lines) {
    const entry = this.entries[this.find(line)];
    if (entry?.what === 'fold') this.open(entry, lines);
  }

  /** Cuts lines anew for another width. @param {number} columns 0: lines are not wrapped @returns {boolean} whether anything may have changed */
  wrap(columns) {
    if (columns === this.#columns) return false;
    this.#columns = columns;
    const begins = this.entries[this.#block.start]?.line;
    const cut = /** @type {Entry[]} */ ([]);
    for (const entry of this.entries) {
      if (entry.what !== 'line') cut.push(entry);
      else if (entry.from === 0) this.#push(cut, entry.line);
    }
    this.entries = cut;
    if (begins) this.#block.start = this.find(begins);
    return true;
  }

  /** Where a line begins, or the fold that it is in. @param {Line} line one that is shown */
  find(line) {
    let index = firstWhere(this.entries.length, (at) => this.entries[at].last.id >= line.id);
    while (index < this.entries.length - 1 && (this.entries[index].what === 'title' || this.entries[index].what === 'day')) index += 1;
    return index;
  }

  /** Title and day above a line. @param {Line} line @param {Line | undefined} before @param {Line | undefined} beforeOfTask @returns {Entry[]} */
  #above(line, before, beforeOfTask) {
    const heads = /** @type {Entry[]} */ ([]);
    if (!sameDay(line.at, before?.at ?? Date.now())) heads.push(entryOf('day', line));
    const named = line.key !== '' || beforeOfTask !== undefined;
    if (this.titled && named && line.kind !== 'note' && isBeginning(line, beforeOfTask)) heads.push(entryOf('title', line));
    return heads;
  }

  /** Entries of lines, none of them folded. @param {Line[]} lines @param {Line} [before] */
  #made(lines, before) {
    const made = /** @type {Entry[]} */ ([]);
    let beforeOfTask = before;
    for (const line of lines) {
      made.push(...this.#above(line, before, beforeOfTask));
      this.#push(made, line);
      before = line;
      if (line.kind !== 'note') beforeOfTask = line;
    }
    return made;
  }

  /** Takes off what is above the first line. @returns {number} how many entries */
  #takeHeads() {
    let heads = 0;
    while (['title', 'day'].includes(this.entries[heads]?.what)) heads += 1;
    this.entries.splice(0, heads);
    return heads;
  }

  /** @param {number} added entries at the top, or removed there */
  #shift(added) {
    this.above += added;
    this.#block.start = Math.max(0, this.#block.start + added);
  }

  /** @param {Entry[]} entries @param {Line} line */
  #push(entries, line) {
    if (this.#columns === 0) entries.push(entryOf('line', line));
    else {
      const text = plain(line.text.slice(0, MAX_DRAWN_CHARS));
      let from = 0;
      for (const to of partEnds(text, this.#columns, this.#columns - (line.kind === 'output' && line.tone ? WORD_COLUMNS : 0))) {
        entries.push(entryOf('line', line, from, to));
        from = to;
      }
    }
  }
}

/** @param {number} start @returns {{ start: number, lines: number, open: boolean, fold: Entry | null }} `lines` are those in sight */
const newBlock = (start) => ({ start, lines: 0, open: false, fold: null });

/** @param {What} what @param {Line} line @param {number} [from] @param {number} [to] @returns {Entry} */
const entryOf = (what, line, from = 0, to = Infinity) => ({ what, line, from, to, last: line, lines: 0 });

/** How many lines begin in an entry. @param {Entry} entry */
const linesOf = ({ what, from, lines }) => (what === 'fold' ? lines : Number(what === 'line' && from === 0));

/** Whether a line is the first of its task, or of a run of it. @param {Line} line @param {Line | undefined} before */
function isBeginning({ key, kind, tone, seq }, before) {
  return before === undefined || key !== before.key || (kind === 'milestone' && tone === 'started' && seq !== before.seq);
}

/** The entry behind so many lines. @param {Entry[]} entries @param {number} at @param {number} count @param {1 | -1} by the direction */
function passLines(entries, at, count, by) {
  for (let passed = 0; passed < count || (by === 1 && entries[at].from > 0); at += by) passed += linesOf(entries[at]);
  return at;
}

/** The place of a line in some that are in order. @param {Line[]} lines @param {Line} line */
export function indexOfLine(lines, { id }) {
  return firstWhere(lines.length, (at) => lines[at].id >= id);
}

/** The first number below `count` from which on a condition holds, or `count`. @param {number} count @param {(at: number) => boolean} holds */
function firstWhere(count, holds) {
  let [low, high] = [0, count];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
