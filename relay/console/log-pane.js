/** The log on screen: only the visible rows are in the document, whatever the number of lines. */

import { plain } from './ansi.js';
import { byId, el, setText } from './dom.js';
import { fillRow, newRow } from './log-row.js';
import { LogSearch } from './log-search.js';
import { LogStore } from './log-store.js';
import { copyText } from './ready-lines.js';

/** @typedef {import('./log-store.js').Line} Line */
/** @typedef {import('./log-store.js').Kind} Kind */
/** @typedef {import('./log-row.js').Row} Row */
/** @typedef {{ addressOf: import('./log-row.js').AddressOf, pick: (line: Line) => void }} LineLinks */

const OVERSCAN = 8; // rows beyond each edge, so that fast scrolling shows no empty space
const NEAR_TOP = 30; // rows from the top, where earlier lines are wanted
const MIN_REDRAW_MS = 45; // between two redraws of a flood: keeps the page responsive, and faster is no easier to read

export class LogPane {
  store = new LogStore();
  following = true;
  #scroller = byId('lines');
  #sheet = byId('sheet');
  #newer = byId('newer');
  #follow = byId('follow');
  /** @type {Row[]} */ #rows = [];
  #rowHeight = 20;
  #viewHeight = 0;
  #sheetHeight = -1;
  #top = 0;
  #version = 0; // of the filter: rows that were drawn with an older one are drawn again
  #seenCount = 0; // lines there were when following stopped
  #removed = 0; // lines removed at the top so far, less those added there
  #target = 0; // the seq that an address names
  #frame = 0;
  #drawnAt = 0;
  #urgent = false;
  /** @type {Line | null} */ #unfolded = null;
  #revealing = false; // the line that was stepped to, or that an address names, is scrolled to with the next redraw
  /** @type {(atTop: boolean) => void} */ #topReached = () => {};
  #links;
  #search = new LogSearch({
    search: (query) => this.refilter({ query }),
    found: () => this.store.shown,
    reveal: () => this.#reveal(),
  });

  /** @param {LineLinks} links */
  constructor(links) {
    this.#links = links;
    new ResizeObserver(() => this.#measure()).observe(this.#scroller);
    this.#scroller.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    this.#scroller.addEventListener('keydown', (event) => this.#keyed(event));
    this.#sheet.addEventListener('click', (event) => this.#pressed(event));
    this.#follow.addEventListener('click', () => this.follow(!this.following));
    this.#newer.addEventListener('click', () => {
      this.follow(true);
      this.#scroller.focus();
    });
    for (const chip of document.querySelectorAll('.chips button')) chip.addEventListener('click', () => this.#toggleKind(chip));
    byId('copy-log').addEventListener('click', (event) => this.#copy(/** @type {HTMLElement} */ (event.currentTarget)));
  }

  /** Redraws soon. Any number of events share a frame, and in a flood MIN_REDRAW_MS pass between two redraws. */
  refresh() {
    this.#frame ||= requestAnimationFrame((now) => {
      this.#frame = 0;
      if (!this.#urgent && now - this.#drawnAt < MIN_REDRAW_MS) return this.refresh();
      this.#drawnAt = now;
      this.#urgent = false;
      this.#draw();
    });
  }

  /** Redraws with the next frame, after an action of the user. */
  #redraw() {
    this.#urgent = true;
    this.refresh();
  }

  /** @param {boolean} on */
  follow(on) {
    this.following = on;
    this.#seenCount = this.store.shown.length;
    this.#follow.setAttribute('aria-pressed', String(on));
    setText(this.#follow, on ? 'Following' : 'Paused');
    this.#redraw();
  }

  /** @param {Partial<import('./log-store.js').Filter>} change */
  refilter(change) {
    this.store.refilter({ ...this.store.filter, ...change });
    this.#version += 1;
    this.#scroller.classList.toggle('one-task', this.store.filter.key !== null);
    this.follow(true);
  }

  /** Forgets all lines. The next event has this seq. @param {number} seq */
  begin(seq) {
    this.store.begin(seq);
    this.#version += 1;
    this.#redraw();
  }

  /** Called with each redraw, with whether the first lines are near. @param {(atTop: boolean) => void} reached */
  onTop(reached) {
    this.#topReached = reached;
  }

  /** Marks the lines of an event and scrolls to them; 0 marks none. @param {number} seq */
  target(seq) {
    if (seq === this.#target) return;
    this.#target = seq;
    if (seq > 0) this.#reveal();
    else this.#redraw();
  }

  /** @param {Element} chip */
  #toggleKind(chip) {
    const kinds = new Set(this.store.filter.kinds);
    const kind = /** @type {Kind} */ (/** @type {HTMLElement} */ (chip).dataset.kind);
    if (!kinds.delete(kind)) kinds.add(kind);
    chip.setAttribute('aria-pressed', String(kinds.has(kind)));
    this.refilter({ kinds });
  }

  #measure() {
    this.#viewHeight = this.#scroller.clientHeight;
    const probe = el('div', { class: 'row', text: 'x' });
    this.#sheet.append(probe);
    this.#rowHeight = probe.offsetHeight || 20;
    probe.remove();
    const needed = Math.ceil(this.#viewHeight / this.#rowHeight) + 2 * OVERSCAN + 2;
    for (const { item } of this.#rows) item.remove();
    this.#rows = Array.from({ length: needed }, newRow);
    this.#sheet.append(...this.#rows.map(({ item }) => item));
    this.#sheetHeight = -1;
    this.#redraw();
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    if (Math.abs(scrollTop - this.#top) < 2) return; // the position that #draw set
    const atEnd = scrollHeight - scrollTop - clientHeight < this.#rowHeight;
    this.#revealing = false;
    // growing or trimmed content scrolls too; only the user scrolls up
    if (this.following && scrollTop < this.#top && !atEnd) this.follow(false);
    else if (!this.following && scrollTop > this.#top && atEnd) this.follow(true);
    this.#top = scrollTop;
    this.#redraw();
  }

  /** @param {KeyboardEvent} event */
  #keyed(event) {
    if (event.key === 'Escape' && this.#unfolded !== null) this.#fold();
    else if (event.key === 'End') this.follow(true);
    else if (event.key === 'f' && !event.ctrlKey && !event.metaKey) this.follow(!this.following);
    else return;
    event.preventDefault();
  }

  /** @param {MouseEvent} event */
  #pressed(event) {
    const target = /** @type {Element} */ (event.target);
    const row = this.#rows.find(({ item }) => item.contains(target));
    if (!row || !getSelection()?.isCollapsed) return; // text is being selected
    const link = target.closest('a');
    if (link === null) this.#unfold(row);
    else if (link === row.link && row.line !== null && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      if (row.line.seq > 0) this.#links.pick(row.line);
    }
  }

  /** Shows a line that is wider than the log whole, or folds it again. @param {Row} row */
  #unfold(row) {
    if (row.line === this.#unfolded) return this.#fold();
    const wide = row.item.offsetWidth > this.#scroller.clientWidth;
    this.#unfolded = wide ? row.line : null;
    if (wide) {
      this.follow(false); // the user is reading this line
      this.#scroller.scrollLeft = 0;
    }
    this.#redraw();
  }

  #reveal() {
    this.#revealing = true;
    this.follow(false);
  }

  #fold() {
    this.#unfolded = null;
    this.#redraw();
  }

  #draw() {
    if (this.#viewHeight === 0) return;
    const lines = this.store.shown;
    const height = lines.length * this.#rowHeight;
    const { dropped } = this.store;
    this.store.dropped = 0;
    this.#seenCount -= dropped;
    this.#removed += dropped;
    if (height !== this.#sheetHeight) {
      this.#sheetHeight = height;
      this.#sheet.style.height = `${height}px`;
    }
    if (this.following) {
      this.#top = Math.max(0, height - this.#viewHeight + 16); // 16: the sheet's padding
      this.#scroller.scrollTop = this.#top;
    } else if (dropped !== 0) {
      // lines were removed or added above: keep the same lines visible
      this.#top = Math.max(0, this.#top - dropped * this.#rowHeight);
      this.#scroller.scrollTop = this.#top;
    }
    this.#search.show(lines);
    const wanted = this.#revealing ? this.#wanted(lines) : -1;
    if (wanted >= 0) {
      this.#scrollTo(wanted, height);
      this.#revealing = false; // else the line is still to come
    }
    this.#place(lines);
    this.#showNewer(lines.length);
    this.#topReached(this.#top < NEAR_TOP * this.#rowHeight);
  }

  /** The index of the line to scroll to; -1: there is none. @param {Line[]} lines */
  #wanted(lines) {
    if (this.#search.current) return lines.indexOf(this.#search.current);
    return this.#target > 0 ? lines.findIndex(({ seq }) => seq >= this.#target) : -1;
  }

  /** Scrolls if the line is out of sight, so that it is in the middle. @param {number} index @param {number} height */
  #scrollTo(index, height) {
    const y = index * this.#rowHeight;
    if (y < this.#top || y + this.#rowHeight > this.#top + this.#viewHeight) {
      const middle = y - (this.#viewHeight - this.#rowHeight) / 2;
      this.#top = Math.round(Math.max(0, Math.min(middle, height + 16 - this.#viewHeight)));
      this.#scroller.scrollTop = this.#top;
    }
  }

  /** @param {Line[]} lines */
  #place(lines) {
    const firstVisible = Math.floor(this.#top / this.#rowHeight);
    const first = Math.max(0, firstVisible - OVERSCAN);
    const count = this.#rows.length;
    for (let index = first; index < first + count; index += 1) {
      const row = this.#rows[(((index + this.#removed) % count) + count) % count]; // a line keeps its row while it is visible
      if (index >= lines.length) {
        row.item.hidden = true;
        continue;
      }
      const line = lines[index];
      fillRow(row, index * this.#rowHeight, {
        line, before: lines[index - 1], top: index <= firstVisible, unfolded: line === this.#unfolded,
        current: this.#search.current ? line === this.#search.current : this.#target > 0 && line.seq === this.#target,
        pattern: this.store.pattern, version: this.#version, addressOf: this.#links.addressOf,
      });
    }
  }

  /** @param {number} count */
  #showNewer(count) {
    const fresh = count - Math.max(0, this.#seenCount);
    this.#newer.hidden = this.following || fresh <= 0;
    if (!this.#newer.hidden) setText(this.#newer, `${fresh.toLocaleString()} new ${fresh === 1 ? 'line' : 'lines'} ↓`);
  }

  /** @param {HTMLElement} button */
  async #copy(button) {
    const done = await copyText(this.store.shown.map((line) => plain(line.text)).join('\n'));
    button.textContent = done ? 'Copied' : 'Could not copy';
    setTimeout(() => { button.textContent = 'Copy'; }, 1_600);
  }
}
