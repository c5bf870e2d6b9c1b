/** The order of events: finds holes and duplicates, and stores the cursor for the next page load. */

/** @typedef {import('../relay-stream.d.ts').RelayStreamOptions} Options */
/** @typedef {import('../relay-stream.d.ts').RelayEvent} RelayEvent */
/** @typedef {import('../relay-stream.d.ts').Hello} Hello */
/** @typedef {import('../relay-stream.d.ts').Gap} Gap */
/** @typedef {import('./requests.js').Query} Query */

const MAX_SAME_HOLE = 3; // the third time the same hole is seen, it is reported as a gap
const SAVE_INTERVAL_MS = 1_000;
// what producers post, and Relay's own notes on asks; a note of a later Relay has its place, and is passed over
const KNOWN_TYPES = new Set(['task_started', 'task_progress', 'task_succeeded', 'task_failed', 'log', 'task_waiting', 'task_answered']);

/** @param {string} cursor @returns {{ epoch: string, seq: number } | null} */
export function parseCursor(cursor) {
  const match = /^([^.\s]+)\.(\d{1,16})$/.exec(cursor);
  return match ? { epoch: match[1], seq: Number(match[2]) } : null;
}

/** A reader's position in the stream, and how a new event relates to it. */
export class Sequence {
  /** @type {string | null} */ epoch = null;
  seq = 0;

  get cursor() {
    return this.epoch === null ? null : `${this.epoch}.${this.seq}`;
  }

  /** @param {string} cursor */
  moveTo(cursor) {
    const position = parseCursor(cursor);
    if (position !== null) ({ epoch: this.epoch, seq: this.seq } = position);
    return position !== null;
  }

  /** @param {{ seq: number, cursor: string }} event @returns {'next' | 'duplicate' | 'hole'} */
  judge(event) {
    if (this.epoch === null) return 'next';
    if (!event.cursor.startsWith(`${this.epoch}.`)) return 'hole'; // only `hello` changes the epoch
    if (event.seq <= this.seq) return 'duplicate';
    return event.seq === this.seq + 1 ? 'next' : 'hole';
  }
}

/** The cursor in the page's storage. Where storage is forbidden or full, a page load starts anew. */
class SavedCursor {
  #options;
  #savedAt = -Infinity; // by `performance.now()`, which is never set
  /** @type {string | null} */ #known = null; // what this page has read or written last

  /** @param {Options} options */
  constructor(options) {
    this.#options = options;
  }

  get #storage() {
    return this.#options.storage ?? globalThis.localStorage;
  }

  read() {
    const { storageKey } = this.#options;
    try {
      this.#known = (storageKey && this.#storage?.getItem(storageKey)) || null;
    } catch { /* as if there were none */ }
    return this.#known;
  }

  /** @param {string | null} cursor */
  write(cursor) {
    const { storageKey } = this.#options;
    this.#savedAt = performance.now();
    if (!storageKey || cursor === null) return;
    try {
      const kept = this.#storage?.getItem(storageKey) ?? null;
      if (kept !== this.#known && isBefore(cursor, kept)) return; // another tab has seen more
      this.#storage?.setItem(storageKey, cursor);
      this.#known = cursor;
    } catch { /* the next page load starts anew */ }
  }

  /** Whether the cursor is to be written again: at most once in SAVE_INTERVAL_MS. */
  get due() {
    return Boolean(this.#options.storageKey) && performance.now() - this.#savedAt > SAVE_INTERVAL_MS;
  }
}

/** Whether a cursor is of the same numbers as another one, and before it. @param {string} cursor @param {string | null} other */
function isBefore(cursor, other) {
  const [here, there] = [parseCursor(cursor), parseCursor(other ?? '')];
  return here !== null && here.epoch === there?.epoch && here.seq < there.seq;
}

/** Takes messages from connections and other tabs, and passes each event on once, in order. */
export class Deliveries {
  #options;
  #emit;
  #saved;
  #sequence = new Sequence();
  #helloSeen = false; // a hello was seen: the cursor is this stream's
  #hole = { at: '', times: 0 };

  /** @param {Options} options @param {(name: 'hello' | 'gap' | 'event', detail: any) => void} emit */
  constructor(options, emit) {
    this.#options = options;
    this.#emit = emit;
    this.#saved = new SavedCursor(options);
    this.#sequence.moveTo(this.#saved.read() || (options.after ?? ''));
  }

  /** Everything up to and including this was delivered; null while the position is unknown. */
  get cursor() {
    return this.#sequence.cursor;
  }

  get helloSeen() {
    return this.#helloSeen;
  }

  /** The seq of the event that is expected next. */
  get next() {
    return this.#sequence.seq + 1;
  }

  /** Where the next read starts; empty: new events only. @returns {Query} */
  start() {
    const { after, last } = this.#options;
    if (this.cursor !== null) return [['after', this.cursor]];
    if (after) return [['after', after]];
    return last ? [['last', String(last)]] : [];
  }

  /** @param {string | null} cursor of another tab @returns {boolean} whether that tab saw more */
  isBehind(cursor) {
    const there = parseCursor(cursor ?? '');
    return there !== null && (there.epoch !== this.#sequence.epoch || there.seq > this.#sequence.seq);
  }

  /** @param {RelayEvent} event */
  judge(event) {
    return this.#sequence.judge(event);
  }

  /** @param {Hello} hello */
  hello(hello) {
    this.#helloSeen = true;
    // a WebSocket that replaces SSE may start a little behind: the position never moves back
    if (!hello.resumed || this.cursor === null) this.#sequence.moveTo(hello.cursor);
    this.#emit('hello', hello);
  }

  /** @param {Gap} gap */
  gap(gap) {
    if (!this.isBehind(gap.cursor)) return; // a WebSocket that replaces SSE started before what was delivered meanwhile
    this.#sequence.moveTo(gap.cursor);
    this.#emit('gap', gap);
  }

  /** Reports events as no longer available. @param {string} epoch @param {number} from @param {number} to inclusive */
  skip(epoch, from, to) {
    this.gap({ type: 'gap', from, to, cursor: `${epoch}.${to}` });
  }

  /**
   * Takes an event from this tab's own connection.
   * @param {RelayEvent} event @returns {boolean} false: there is a hole; read again from the cursor
   */
  take(event) {
    const place = this.judge(event);
    if (place === 'duplicate') return true;
    if (place === 'hole') {
      if (this.#countHole() < MAX_SAME_HOLE) return false;
      const { epoch } = /** @type {{ epoch: string }} */ (parseCursor(event.cursor));
      this.skip(epoch, this.next, event.seq - 1);
    }
    this.#deliver(event);
    return true;
  }

  /** Takes an event if it is the next one. @returns {boolean} whether it is. @param {RelayEvent} event */
  takeNext(event) {
    const isNext = this.judge(event) === 'next';
    if (isNext) this.#deliver(event);
    return isNext;
  }

  save() {
    this.#saved.write(this.cursor);
  }

  #countHole() {
    const at = `${this.cursor}`;
    this.#hole = { at, times: this.#hole.at === at ? this.#hole.times + 1 : 1 };
    return this.#hole.times;
  }

  /** @param {RelayEvent} event */
  #deliver(event) {
    this.#sequence.moveTo(event.cursor);
    if (KNOWN_TYPES.has(event.event_type)) this.#emit('event', event);
    if (this.#saved.due) this.save();
  }
}
