/** The rows that are in the document: as many as the log has room for, whatever the number of entries. */

import { el } from './dom.js';
import { fillRow, newRow } from './log-row.js';

/** @typedef {import('./log-row.js').Row} Row */
/** @typedef {import('./log-layout.js').Entry} Entry */
/** @typedef {Omit<import('./log-row.js').Place, 'entry' | 'before' | 'top' | 'unfolded' | 'current'>} Common of all rows */
/** @typedef {(entry: Entry) => { unfolded: boolean, current: boolean }} Marks of an entry */

const OVERSCAN = 8; // rows beyond each edge, so that fast scrolling shows no empty space
const LEAST_COLUMNS = 20;
const PROBE_LETTERS = 1_000; // wider than any log

export class LogRows {
  height = 20; // px
  columns = 80; // of a part of a wrapped line
  #sheet;
  /** @type {Row[]} */ #rows = [];

  /** @param {HTMLElement} sheet */
  constructor(sheet) {
    this.#sheet = sheet;
  }

  /** Makes as many as fit. @param {{ clientWidth: number, clientHeight: number }} room */
  measure({ clientWidth, clientHeight }) {
    const [probe, letters] = [newRow(), el('span', { text: 'x'.repeat(PROBE_LETTERS) })];
    Object.assign(probe.item, { className: 'row row-line', hidden: false });
    probe.time.textContent = '00:00:00';
    probe.words.append(letters);
    this.#sheet.append(probe.item);
    this.height = probe.item.offsetHeight || 20;
    const { width } = letters.getBoundingClientRect();
    const beside = probe.item.getBoundingClientRect().width - width; // number, time, and room on both sides
    this.columns = Math.max(LEAST_COLUMNS, Math.floor((clientWidth - beside) / (width / PROBE_LETTERS || 8)));
    probe.item.remove();
    for (const { item } of this.#rows) item.remove();
    this.#rows = Array.from({ length: Math.ceil(clientHeight / this.height) + 2 * OVERSCAN + 2 }, newRow);
    this.#sheet.append(...this.#rows.map(({ item }) => item));
  }

  /** The row that an element is in. @param {Element} element */
  of(element) {
    return this.#rows.find(({ item }) => item.contains(element));
  }

  /**
   * Shows the entries around the position that is at the top. An entry keeps its row while it is visible:
   * `shift` is how many entries were added above since the start.
   * @param {Entry[]} entries @param {number} top px @param {number} shift @param {Common} common @param {Marks} marks
   */
  place(entries, top, shift, common, marks) {
    const firstVisible = Math.floor(top / this.height);
    const first = Math.max(0, firstVisible - OVERSCAN);
    const count = this.#rows.length;
    for (let index = first; index < first + count; index += 1) {
      const row = this.#rows[(((index - shift) % count) + count) % count];
      const entry = entries[index];
      if (entry === undefined) row.item.hidden = true;
      else {
        const above = entries[index - 1];
        fillRow(row, index * this.height, {
          entry, before: above?.what === 'line' ? above.line : undefined, top: index <= firstVisible, ...marks(entry), ...common,
        });
      }
    }
  }
}
