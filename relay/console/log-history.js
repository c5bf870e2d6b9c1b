/** Brings earlier lines into the log when its top is reached, or when an address names one of them. */

import { Problem } from './api.js';
import { byId, setText } from './dom.js';
import { EarlierEvents } from './earlier-events.js';

/** @typedef {import('./log-pane.js').LogPane} LogPane */
/** @typedef {import('./relay-stream.d.ts').RelayEvent} RelayEvent */
/** @typedef {import('./relay-stream.d.ts').RelayTask} RelayTask */
/** @typedef {'idle' | 'reading' | 'failed' | 'start' | 'trimmed' | 'full'} HistoryState */

/** @type {Record<HistoryState, string>} */
const WORDS = {
  idle: 'Search earlier lines', reading: 'Reading earlier lines …', failed: 'Earlier lines could not be read. Try again', start: '',
  trimmed: 'Earlier lines are no longer stored', full: 'This page has no room for earlier lines. Download the log',
};
/** Of a log of one task that has no lines here. @type {Record<HistoryState, string>} */
const EMPTY = {
  idle: '', reading: '', failed: 'The log of this task could not be read.', start: 'This task has printed nothing yet.',
  trimmed: 'Nothing of the log of this task is stored any more.', full: 'This page has no room for the log of this task. Download it.',
};
const MOST_BLOCKS = 60; // until a line is given up that an address names

export class LogHistory {
  /** @type {HistoryState} */ state = 'idle';
  #since = 0; // #first when the state was found
  #pane;
  #find;
  #named;
  #button = /** @type {HTMLButtonElement} */ (byId('earlier'));
  #events = new EarlierEvents('');
  /** @type {Promise<boolean> | null} */ #reading = null;
  #period = 0; // counts changes of the task: a block that was asked for in an earlier one is dropped

  /**
   * @param {LogPane} pane @param {(id: string) => RelayTask | undefined} find
   * @param {(event: RelayEvent) => import('./log-store.js').Named} named
   */
  constructor(pane, find, named) {
    this.#pane = pane;
    this.#find = find;
    this.#named = named;
    this.#button.addEventListener('click', () => this.more());
    pane.onTop((atTop) => this.#atTop(atTop));
  }

  /** The log begins with the event of this seq. @param {string} epoch @param {number} seq */
  begin(epoch, seq) {
    this.#events = new EarlierEvents(epoch);
    this.#pane.begin(seq);
    this.anew();
  }

  /** Other lines are shown: of another task, or of all. */
  anew() {
    this.#period += 1;
    this.state = 'idle';
    this.#draw(false);
  }

  /** Reads earlier lines until that of a seq is here. @param {number} seq @returns {Promise<boolean>} whether it is */
  async reach(seq) {
    const period = this.#period;
    for (let blocks = 0; this.#pane.store.earlierSince > seq && blocks < MOST_BLOCKS; blocks += 1) {
      if (!(await this.more()) || period !== this.#period) break;
    }
    return period === this.#period && this.#pane.store.earlierSince <= seq;
  }

  /** Why a line is not here that was to be reached. */
  get missing() {
    if (this.state === 'failed') return 'This line could not be read. Reload the page to try again.';
    return 'This line is no longer stored, or is too far back to be shown here. Download the log of its task.';
  }

  /** Reads a block of earlier lines, unless one is being read. @returns {Promise<boolean>} whether there may be more */
  more() {
    this.#reading ??= this.#read().finally(() => { this.#reading = null; });
    return this.#reading;
  }

  async #read() {
    const { store } = this.#pane;
    const { key } = store.filter;
    const task = key === null ? undefined : this.#find(key);
    const start = task?.run === 1 ? task.first_seq : 1; // nothing of it is older
    const seq = store.earlierSince;
    if (seq <= start) return this.#become('start');
    if (store.full) return this.#become('full');
    const period = this.#period;
    this.#become('reading');
    try {
      const block = await this.#events.before(seq, key, task);
      if (period !== this.#period || seq !== store.earlierSince) return this.#become('idle'); // other lines are wanted by now
      store.addEarlier(block.events.map((event) => ({ event, named: this.#named(event) })), block.since);
      if (block.since <= start) return this.#become('start');
      if (block.since <= block.oldest) return this.#become(block.oldest > 1 ? 'trimmed' : 'start');
      return this.#become(store.full ? 'full' : 'idle');
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      return this.#become(period === this.#period ? 'failed' : 'idle');
    }
  }

  /** @param {HistoryState} state @returns {boolean} whether there may be more */
  #become(state) {
    this.state = state;
    this.#since = this.#first;
    this.#pane.refresh();
    return state === 'idle';
  }

  /** Where the lines begin that the state is about. A page without room lets its earlier lines go at the next new one: that alone makes no room. */
  get #first() {
    const { since, earlierSince } = this.#pane.store;
    return this.state === 'full' ? since : earlierSince;
  }

  /** Called with each redraw. A search reads nothing by itself: it may find nothing in all that is stored. @param {boolean} atTop */
  #atTop(atTop) {
    const searched = this.#pane.store.pattern !== null;
    if (this.state !== 'reading' && this.#first > this.#since) this.state = 'idle'; // the oldest lines went away
    if (atTop && this.state === 'idle' && !searched) this.more();
    this.#draw(atTop && (this.state !== 'idle' || searched));
    const empty = byId('no-lines');
    empty.hidden = this.#pane.store.shown.length > 0;
    if (!empty.hidden) setText(empty, this.#emptyWords());
  }

  #emptyWords() {
    const { store } = this.#pane;
    if (store.pattern !== null) return 'Nothing matches. Clear the search or turn on Progress.';
    if (this.state === 'reading') return '';
    const { key } = store.filter;
    const some = key === null ? store.lines.length + store.earlier.length > 0 : [...store.earlier, ...store.lines].some((line) => line.key === key);
    if (some) return 'Nothing matches. Clear the search or turn on Progress.';
    if (key === null) return 'The output of your tasks appears here, line by line.';
    return EMPTY[this.state];
  }

  /** @param {boolean} shown */
  #draw(shown) {
    setText(this.#button, WORDS[this.state]);
    this.#button.disabled = this.state !== 'idle' && this.state !== 'failed';
    this.#button.hidden = !shown || WORDS[this.state] === '';
  }
}
