/** The log on screen: where it is scrolled to, whether it follows its end, and what leads to a line. */

import { byId, followLink, setText } from './dom.js';
import { hasModifier } from './keys.js';
import { BlockTitle } from './log-block-title.js';
import { LogLayout } from './log-layout.js';
import { LogRows } from './log-rows.js';
import { LogSearch } from './log-search.js';
import { LogStore } from './log-store.js';
import { LogTools } from './log-tools.js';

/** @typedef {import('./log-store.js').Line} Line */
/** @typedef {import('./log-layout.js').Entry} Entry */
/** @typedef {import('./log-row.js').Row} Row */
/** @typedef {{ addresses: import('./log-row.js').Addresses, pick: (line: Line) => void, pickTask: (key: string) => void }} LineLinks */

const NEAR_TOP = 30; // rows from the top, where earlier lines are wanted
const MIN_REDRAW_MS = 45; // between two redraws of a flood: keeps the page responsive, and faster is no easier to read
const PADDING = 16; // of the sheet, above and below together
const LEAST_DIGITS = 3; // that have room in the column of numbers

export class LogPane {
  layout = new LogLayout();
  store = new LogStore(this.layout);
  following = true;
  #scroller = byId('lines');
  #sheet = byId('sheet');
  #newer = byId('newer');
  #follow = byId('follow');
  #blockTitle;
  #rows = new LogRows(this.#sheet);
  #viewHeight = 0;
  #sheetHeight = -1;
  #top = 0;
  #moved = false; // by this page: the scroller is still to follow
  #version = 0; // of the filter: rows that were drawn with an older one are drawn again
  #seenCount = 0; // lines there were when following stopped
  #shift = 0; // entries added at the top so far, less those removed there
  #target = 0; // the seq that an address names
  #digits = LEAST_DIGITS;
  #wrapped = false;
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
  #tools = new LogTools({
    kinds: () => this.store.filter.kinds,
    choose: (kinds) => this.refilter({ kinds }),
    wrap: (on) => this.#wrap(on),
    lines: () => this.store.shown,
    titled: () => this.layout.titled,
  });

  /** @param {LineLinks} links */
  constructor(links) {
    this.#links = links;
    this.#blockTitle = new BlockTitle(links);
    new ResizeObserver(() => this.#measure()).observe(this.#scroller);
    this.#scroller.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    this.#scroller.addEventListener('keydown', (event) => this.#keyed(event));
    this.#sheet.addEventListener('click', (event) => this.#pressed(event));
    this.#follow.addEventListener('click', () => this.follow(!this.following));
    this.#newer.addEventListener('click', () => {
      this.follow(true);
      this.#scroller.focus();
    });
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
    this.following = this.layout.folding = on;
    if (on) this.layout.fold();
    this.#seenCount = this.store.shown.length;
    this.#follow.setAttribute('aria-pressed', String(on));
    setText(this.#follow, on ? 'Following' : 'Paused');
    this.#redraw();
  }

  /** @param {Partial<import('./log-store.js').Filter>} change */
  refilter(change) {
    this.store.refilter({ ...this.store.filter, ...change });
    this.#version += 1;
    this.follow(true);
  }

  /** Shows output and milestones, whatever their words. */
  unfilter() {
    this.#search.clear();
    this.#tools.show(['output', 'milestone']);
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

  #measure() {
    this.#viewHeight = this.#scroller.clientHeight;
    this.#makeRows();
    this.#draw(); // at once: new rows are empty, and the frame is still to be painted
  }

  #makeRows() {
    this.#sheet.style.setProperty('--digits', String(this.#digits));
    this.#rows.measure(this.#scroller);
    this.#sheetHeight = -1;
    this.#rewrap();
  }

  /** @param {boolean} on */
  #wrap(on) {
    this.#wrapped = on;
    this.#unfolded = null;
    this.#rewrap();
    this.#redraw();
  }

  /** Cuts lines for the width there is; the line at the top stays there. */
  #rewrap() {
    const { height, columns } = this.#rows;
    const top = this.layout.entries[Math.ceil(this.#top / height)];
    if (!this.layout.wrap(this.#wrapped ? columns : 0) || top === undefined) return;
    this.#top = this.layout.find(top.line) * height;
    this.#moved = true;
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    if (Math.abs(scrollTop - this.#top) < 2) return; // the position that #draw set
    const atEnd = scrollHeight - scrollTop - clientHeight < this.#rows.height;
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
    else if (event.key === 'f' && !hasModifier(event)) this.follow(!this.following);
    else return;
    event.preventDefault();
  }

  /** @param {MouseEvent} event */
  #pressed(event) {
    const target = /** @type {Element} */ (event.target);
    const row = this.#rows.of(target);
    if (!row?.entry || !getSelection()?.isCollapsed) return; // text is being selected
    const { what, line } = row.entry;
    const link = target.closest('a');
    if (what === 'fold' && target.closest('button')) this.#openFold(row.entry);
    else if (what === 'title' && link) followLink(event, () => this.#links.pickTask(line.key));
    else if (what === 'line' && link === null) this.#unfold(row, line);
    else if (what === 'line' && link === row.link && line.seq > 0) followLink(event, () => this.#links.pick(line));
  }

  /** @param {Entry} fold */
  #openFold(fold) {
    this.follow(false); // the user is going to read these lines
    this.layout.open(fold, this.store.shown);
    this.#scroller.focus({ preventScroll: true }); // its button is gone
    this.#redraw();
  }

  /** Shows a line that is wider than the log whole, or folds it again. @param {Row} row @param {Line} line */
  #unfold(row, line) {
    if (line === this.#unfolded) return this.#fold();
    const wide = row.item.offsetWidth > this.#scroller.clientWidth || row.link.offsetWidth === 0; // a phone has no room for its time
    this.#unfolded = wide ? line : null;
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
    const { layout, store } = this;
    const lines = store.shown;
    this.#search.show(lines);
    this.#makeRoomFor(lines[lines.length - 1]?.seq ?? 0);
    const wanted = this.#revealing ? this.#wanted(lines) : undefined;
    if (wanted) layout.openAround(wanted, lines);
    const height = layout.entries.length * this.#rows.height;
    if (height !== this.#sheetHeight) {
      this.#sheetHeight = height;
      this.#sheet.style.height = `${height}px`;
    }
    this.#seenCount -= store.dropped;
    this.#shift += layout.above;
    if (this.following) this.#top = Math.max(0, height + PADDING - this.#viewHeight);
    else this.#top = Math.max(0, this.#top + layout.above * this.#rows.height); // the same lines stay visible
    if (wanted) this.#goTo(layout.find(wanted), height);
    if (this.following || layout.above !== 0 || this.#moved) this.#scroller.scrollTop = this.#top;
    this.#moved = false;
    store.dropped = layout.above = 0;
    const common = { titled: layout.titled, pattern: store.pattern, version: this.#version, addresses: this.#links.addresses };
    this.#rows.place(layout.entries, this.#top, this.#shift, common, ({ line, from }) => ({ unfolded: from === 0 && line === this.#unfolded, current: this.#isCurrent(line) }));
    this.#blockTitle.show(layout.titled && this.#top > 0 ? layout.entries[Math.floor(this.#top / this.#rows.height)] : undefined);
    this.#showNewer(lines.length);
    this.#topReached(this.#top < NEAR_TOP * this.#rows.height);
  }

  /** @param {Line} line */
  #isCurrent(line) {
    return this.#search.current ? line === this.#search.current : this.#target > 0 && line.seq === this.#target;
  }

  /** The line to scroll to, unless it is still to come. @param {Line[]} lines */
  #wanted(lines) {
    if (this.#search.current) return this.#search.current;
    return this.#target > 0 ? lines.find(({ seq }) => seq >= this.#target) : undefined;
  }

  /** Scrolls if the entry is out of sight, so that it is in the middle. @param {number} index @param {number} height of all */
  #goTo(index, height) {
    this.#revealing = false;
    const [y, row] = [index * this.#rows.height, this.#rows.height];
    if (y >= this.#top + row && y + row <= this.#top + this.#viewHeight) return; // the first row may be behind a title
    const middle = y - (this.#viewHeight - row) / 2;
    this.#top = Math.round(Math.max(0, Math.min(middle, height + PADDING - this.#viewHeight)));
    this.#moved = true;
  }

  /** The column of numbers grows with them. @param {number} seq */
  #makeRoomFor(seq) {
    const digits = Math.max(LEAST_DIGITS, String(seq).length);
    if (digits <= this.#digits) return;
    this.#digits = digits;
    this.#makeRows();
  }

  /** @param {number} count */
  #showNewer(count) {
    const fresh = count - Math.max(0, this.#seenCount);
    this.#newer.hidden = this.following || fresh <= 0;
    if (!this.#newer.hidden) setText(this.#newer, `${fresh.toLocaleString()} new ${fresh === 1 ? 'line' : 'lines'} ↓`);
  }
}
