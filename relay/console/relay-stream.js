/**
 * RelayStream: one user's events in the browser, in order, without duplicates or holes.
 *
 *     import { RelayStream } from './relay-stream.js';
 *     const stream = new RelayStream({ url: 'https://relay.example', getCredential });
 *     stream.addEventListener('event', ({ detail }) => console.log(detail.event_type));
 *
 * It uses WebSocket, or server-sent events while WebSockets are blocked. A cursor marks the last
 * delivered event; each new connection starts there. With the option `tasks` it also keeps a list of
 * the user's tasks. Types: relay-stream.d.ts.
 *
 * Its parts are in relay-stream/. Relay joins them and serves one module at one address.
 */

import { Connection } from './relay-stream/connection.js';
import { Follower } from './relay-stream/follower.js';
import { Latency } from './relay-stream/latency.js';
import { Requests } from './relay-stream/requests.js';
import { Deliveries } from './relay-stream/sequence.js';
import { Tabs } from './relay-stream/tabs.js';
import { TaskList } from './relay-stream/task-list.js';

export { Sequence, parseCursor } from './relay-stream/sequence.js';
export { delayFor } from './relay-stream/timers.js';

/** @typedef {import('./relay-stream.d.ts').RelayStreamOptions} Options */
/** @typedef {import('./relay-stream.d.ts').StreamState} StreamState */
/** @typedef {import('./relay-stream/tabs.js').TabMessage} TabMessage */

export class RelayStream extends EventTarget {
  #options;
  #requests;
  #deliveries;
  #tasks;
  #connection;
  #follower;
  #latency = new Latency();
  /** @type {Tabs | null} */ #tabs = null; // null: this stream shares with no other tab
  /** @type {'new' | 'open' | 'closed'} */ #phase = 'new';
  /** @type {StreamState} */ #state = {
    state: 'connecting', transport: null, attempt: 0, retryAt: null, reconnects: 0,
    shared: false, leader: false, code: null, reason: null,
  };
  #wasLive = false;
  #listening = new AbortController();

  /** @param {Options} [options] */
  constructor(options = {}) {
    super();
    this.#options = options;
    this.#requests = new Requests(options);
    this.#deliveries = new Deliveries(options, (name, detail) => {
      if (name === 'event') this.#latency.observe(detail);
      this.#emit(name, detail);
    });
    this.#tasks = new TaskList(this.#requests, options.tasks === true);
    this.#connection = new Connection(options, this.#requests, this.#deliveries, this.#tasks, {
      received: (list) => this.#tabs?.publish(list),
      changed: (change) => this.#changed(change),
      refused: (code, reason) => this.#end(code, reason),
    });
    this.#follower = new Follower(this.#requests, this.#deliveries, this.#tasks, (kind) => this.#tabs?.post({ kind }));
    this.#listen();
    queueMicrotask(() => { if (this.#phase === 'new') this.#open(); });
  }

  /** Everything up to and including this was delivered; null before the first hello. */
  get cursor() {
    return this.#deliveries.cursor;
  }

  /** About how many milliseconds the last live event took from the server to this page. */
  get latency() {
    return this.#latency.latest;
  }

  /** The user's tasks, if the option `tasks` asks for them. */
  get tasks() {
    return this.#tasks;
  }

  /** @returns {StreamState} */
  get state() {
    return { ...this.#state };
  }

  /** Try again now instead of waiting; also revives a stream that was closed. */
  reconnect() {
    if (this.#phase === 'closed') {
      this.#requests.forgetExpiry();
      this.#connection.forgetAttempts();
      this.#listen();
      this.#open();
    } else if (this.#phase === 'new') {
      this.#open();
    } else if (this.#tabs?.following) {
      this.#tabs.post({ kind: 'nudge' });
      this.#follower.catchUp();
    } else {
      this.#connection.connect();
    }
  }

  /** Closes the stream until reconnect(). */
  close() {
    this.#end(1000, 'closed');
  }

  // ── open and close ─────────────────────────────────────────────────────────────────────────

  #open() {
    this.#phase = 'open';
    const { share, tasks } = this.#options;
    this.#tabs = Tabs.for(share && tasks ? `${share} tasks` : share, { // a leader without tasks has none for others
      lead: () => {
        this.#follower.stop();
        this.#latency.stop();
        this.#connection.connect();
      },
      follow: () => {
        this.#connection.stop();
        this.#tasks.stop();
        this.#latency.stop();
        this.#follower.start();
      },
      received: (message) => this.#receivedFromTab(message),
      snapshot: () => ({ kind: 'state', state: this.#state, cursor: this.cursor }),
    });
    if (this.#tabs === null) {
      this.#connection.connect();
    } else {
      this.#follower.start();
      this.#tabs.join();
    }
  }

  /** @param {number} code @param {string} reason */
  #end(code, reason) {
    if (this.#phase === 'closed') return;
    this.#connection.stop();
    this.#follower.stop();
    this.#latency.stop();
    this.#tasks.stop();
    this.#deliveries.save();
    this.#update({ state: 'closed', transport: null, retryAt: null, code, reason });
    this.#phase = 'closed';
    this.#tabs?.leave();
    this.#tabs = null;
    this.#listening.abort();
    this.#emit('state', this.state); // last: a listener may reconnect
  }

  // ── what the browser reports ────────────────────────────────────────────────────────────────

  #listen() {
    this.#listening = new AbortController();
    const { signal } = this.#listening;
    const on = (/** @type {EventTarget | undefined} */ target, /** @type {string} */ name, /** @type {() => void} */ then) =>
      target?.addEventListener?.(name, then, { signal });
    on(globalThis, 'online', () => this.#connection.cameOnline());
    on(globalThis, 'offline', () => this.#connection.wentOffline());
    on(globalThis, 'pagehide', () => this.#deliveries.save());
    on(globalThis.document, 'visibilitychange', () => (document.hidden ? this.#deliveries.save() : this.#wake()));
  }

  #wake() {
    if (this.#tabs?.following) this.#tabs.ask();
    else this.#connection.wake();
  }

  // ── what the page receives ───────────────────────────────────────────────────────────────────

  /** This tab's connection has changed its state. @param {Partial<StreamState>} change */
  #changed(change) {
    if (change.state !== 'live') return this.#report(change);
    this.#latency.start();
    const reconnects = this.#state.reconnects + (this.#wasLive ? 1 : 0);
    this.#wasLive = true;
    this.#report({ ...change, reconnects });
  }

  /** @param {TabMessage} message */
  #receivedFromTab(message) {
    if (message.kind === 'nudge') {
      this.#connection.retryNow();
    } else if (message.kind === 'askTasks') {
      this.#tabs?.post({ kind: 'tasks', tasks: this.#tasks.copy() });
    } else if (message.kind === 'tasks') {
      this.#tasks.adopt(message.tasks);
    } else if (message.kind === 'messages') {
      this.#follower.messages(message.list);
    } else if (message.kind === 'state') {
      const { state, code, reason } = message.state;
      if (state === 'closed') {
        // a final refusal holds for all tabs; a leader that its page closed releases the lock
        return code === 1000 ? undefined : this.#end(code ?? 4403, reason ?? 'forbidden');
      }
      if (!this.#latency.measuring) this.#latency.start();
      this.#report(message.state);
      this.#follower.leaderState(message);
    }
  }

  /** @param {Partial<StreamState>} change */
  #report(change) {
    if (this.#phase === 'closed') return;
    this.#update(change);
    this.#emit('state', this.state);
  }

  /** @param {Partial<StreamState>} change */
  #update(change) {
    this.#state = { ...this.#state, ...change, shared: this.#tabs !== null, leader: this.#tabs?.leading ?? false };
    this.#tabs?.announce();
  }

  /** @param {string} name @param {unknown} detail */
  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
