/**
 * One connection: opens it, checks that it is alive, and opens it again after a wait. It uses
 * WebSocket, or server-sent events while WebSockets are blocked. Each attempt starts at the cursor
 * of the deliveries.
 */

import { Refusal } from './requests.js';
import { LONGEST_RETRY_MS, Stopwatch, Timers, delayFor } from './timers.js';
import { TransportChoice, openTransport } from './transports.js';

/** @typedef {import('../relay-stream.d.ts').RelayStreamOptions} Options */
/** @typedef {import('../relay-stream.d.ts').StreamState} StreamState */
/** @typedef {import('../relay-stream.d.ts').Hello} Hello */
/** @typedef {import('./requests.js').Requests} Requests */
/** @typedef {import('./sequence.js').Deliveries} Deliveries */
/** @typedef {import('./task-list.js').TaskList} TaskList */
/** @typedef {import('./transports.js').Transport} Transport */
/** @typedef {import('./transports.js').Listener} Listener */
/** @typedef {import('./transports.js').Message} Message */
/** @typedef {import('./transports.js').Close} Close */
/**
 * @typedef {object} Owner
 * @property {(list: Message[]) => void} received called before the messages are processed
 * @property {(change: Partial<StreamState>) => void} changed
 * @property {(code: number, reason: string) => void} refused called after a final refusal: the owner must stop() the connection
 */

const STABLE_MS = 5_000; // a connection that lived longer resets the backoff
const SILENT_HEARTBEATS = 2.5; // missing heartbeats after which the server counts as gone: two may be late
const DEFAULT_HEARTBEAT_S = 25;
const HELLO_TIMEOUT_MS = 15_000; // some proxies accept a WebSocket and forward nothing
const CLOSE_TIMEOUT_MS = 3_000;
const THROTTLED_MS = 10_000; // when the server gives no time
const QUIET_MS = 1_000; // without a message: then a connection counts as lost with the old network

/**
 * The states and their transitions.
 *
 * - `idle`: nothing is open and nothing is planned: another tab leads, or the stream is closed
 * - `connecting`: a ticket was requested, or the server's hello is awaited
 * - `live`: the hello arrived; beside SSE a WebSocket may be on trial, whose hello arrives too
 * - `waiting`: a timer connects again, or retryNow() does before it
 * - `throttled`: a timer connects again, and nothing else does: the server set the time
 *
 * @type {Record<string, Record<string, State>>}
 * @typedef {'idle' | 'connecting' | 'live' | 'waiting' | 'throttled'} State
 * @typedef {'connect' | 'hello' | 'lost' | 'throttle' | 'stop'} Cause
 */
const TRANSITIONS = {
  idle: { connect: 'connecting', stop: 'idle' },
  connecting: { connect: 'connecting', hello: 'live', lost: 'waiting', throttle: 'throttled', stop: 'idle' },
  live: { connect: 'connecting', hello: 'live', lost: 'waiting', throttle: 'throttled', stop: 'idle' },
  waiting: { connect: 'connecting', stop: 'idle' },
  throttled: { connect: 'connecting', stop: 'idle' },
};

export class Connection {
  #options;
  #requests;
  #deliveries;
  #tasks;
  #owner;
  #choice;
  /** @type {State} */ #state = 'idle';
  #period = 0; // counts changes of state: results of requests from an earlier period are dropped
  #timers = new Timers();
  /** @type {Transport | null} */ #transport = null;
  /** @type {Transport | null} */ #trial = null; // a WebSocket tried while SSE carries the stream
  /** @type {Close | null} */ #closeMessage = null;
  #attempt = 0;
  #live = new Stopwatch(); // since the hello
  #quiet = new Stopwatch(); // since the last message
  #heartbeat = DEFAULT_HEARTBEAT_S * 1000;
  #wentOffline = false;

  /** @param {Options} options @param {Requests} requests @param {Deliveries} deliveries @param {TaskList} tasks @param {Owner} owner */
  constructor(options, requests, deliveries, tasks, owner) {
    this.#options = options;
    this.#requests = requests;
    this.#deliveries = deliveries;
    this.#tasks = tasks;
    this.#owner = owner;
    this.#choice = new TransportChoice(options);
  }

  /** Closes what is open and connects. */
  async connect() {
    const period = this.#enter('connect');
    this.#owner.changed({ state: 'connecting', transport: null, attempt: this.#attempt, retryAt: null });
    if (period !== this.#period) return;
    try {
      const name = this.#choice.next;
      const url = await this.#requests.streamAddress(name, this.#deliveries.start());
      if (period !== this.#period) return;
      this.#transport = openTransport(this.#options, name, url, this.#listener);
      this.#timers.set('silence', HELLO_TIMEOUT_MS, () => this.#ended(this.#transport, 1006));
    } catch (problem) {
      if (period !== this.#period) return;
      if (problem instanceof Refusal) this.#connectLater(problem.code, null, problem.retryAfter);
      else this.#connectLater(1006, null, null);
    }
  }

  /** Closes everything and cancels all timers. */
  stop() {
    this.#enter('stop');
  }

  /** Resets the count of attempts, and with it the backoff. */
  forgetAttempts() {
    this.#attempt = 0;
  }

  /** Connects now instead of later, unless the server set how long to wait. */
  retryNow() {
    if (this.#state === 'waiting') this.connect();
  }

  /** The page is visible again: its timers may have been suspended. */
  wake() {
    if (this.#state === 'live') this.#checkSilence();
    else this.retryNow();
  }

  wentOffline() {
    this.#wentOffline = true;
  }

  cameOnline() {
    if (this.#state === 'idle') return;
    const quiet = this.#quiet.ms > QUIET_MS;
    if (this.#state === 'live' && this.#wentOffline && quiet && !this.#requests.loopback) {
      this.#ended(this.#transport, 1006); // the connection was lost with the old network
    }
    this.#wentOffline = false;
    this.#choice.forget();
    this.retryNow();
  }

  // ── changes of state ────────────────────────────────────────────────────────────────────

  /** Changes the state. Every cause except a hello closes what was open. @param {Cause} cause @returns {number} the period */
  #enter(cause) {
    const next = TRANSITIONS[this.#state][cause];
    if (next === undefined) throw new Error(`relay-stream: "${cause}" while ${this.#state}`);
    this.#state = next;
    if (cause === 'hello') return this.#period;
    this.#timers.cancelAll();
    this.#transport?.close();
    this.#trial?.close();
    this.#transport = this.#trial = this.#closeMessage = null;
    return ++this.#period;
  }

  /** @param {number} code @param {string | null} reason @param {number | null} advised ms */
  #connectLater(code, reason, advised) {
    if (code === 4403) return this.#owner.refused(code, reason ?? 'forbidden');
    if (code === 4401 && !this.#requests.expireCredential()) {
      return this.#owner.refused(code, reason ?? 'unauthorized');
    }
    this.#attempt += 1;
    const offline = globalThis.navigator?.onLine === false && !this.#requests.loopback;
    const least = code === 4429 ? advised ?? THROTTLED_MS : advised;
    // the browser may be wrong about being offline: wait longer, but keep trying
    const wait = offline ? LONGEST_RETRY_MS : delayFor(this.#attempt, least);
    this.#enter(code === 4429 && !offline ? 'throttle' : 'lost');
    this.#timers.set('retry', wait, () => this.connect());
    this.#owner.changed({
      state: offline ? 'offline' : 'waiting', transport: null, attempt: this.#attempt,
      retryAt: Date.now() + wait, code, reason,
    });
  }

  /** @param {Transport | null} transport @param {number} code */
  #ended(transport, code) {
    if (transport === null) return;
    if (transport === this.#trial) {
      transport.close();
      this.#trial = null;
      return this.#tryWebSocketLater();
    }
    if (transport !== this.#transport) return;
    const message = this.#closeMessage;
    if (this.#state === 'connecting' && message === null) this.#choice.failed(transport.name);
    if (this.#state === 'live' && this.#live.ms > STABLE_MS) this.#attempt = 0;
    this.#connectLater(message?.code ?? code, message?.reason ?? null, message?.retry_after_ms ?? null);
  }

  // ── what arrives ────────────────────────────────────────────────────────────────────────────

  /** @type {Listener} */
  #listener = {
    messages: (from, list) => {
      const [first] = list;
      if (from === this.#trial && first && 'type' in first && first.type === 'hello') this.#adopt(from);
      if (from === this.#transport) this.#take(from, list);
    },
    ended: (from, code) => this.#ended(from, code),
  };

  /** @param {Transport} from @param {Message[]} list */
  #take(from, list) {
    this.#quiet.restart();
    this.#owner.received(list);
    for (const message of list) {
      if (!('type' in message)) {
        this.#tasks.missing();
        if (!this.#deliveries.take(message)) return this.#connectLater(1006, 'hole', 0);
      } else if (message.type === 'hello') this.#hello(from, message);
      else if (message.type === 'gap') this.#deliveries.gap(message);
      else if (message.type === 'tasks' || message.type === 'task') this.#tasks.take(message);
      else if (message.type === 'ping') this.#tasks.missing();
      else if (message.type === 'close') this.#closeMessage = message;
      if (from !== this.#transport) return; // a listener closed the stream, or reconnected it
    }
    if (this.#closeMessage !== null) {
      // the connection ends by itself, unless a proxy hides the end
      this.#timers.set('silence', from.name === 'sse' ? 0 : CLOSE_TIMEOUT_MS, () => this.#ended(from, 1006));
    }
  }

  /** @param {Transport} from @param {Hello} hello */
  #hello(from, hello) {
    this.#enter('hello');
    this.#live.restart();
    this.#heartbeat = (hello.heartbeat_s || DEFAULT_HEARTBEAT_S) * 1000;
    this.#choice.worked(from.name);
    if (from.name === 'sse') this.#tryWebSocketLater();
    this.#watch();
    this.#tasks.expect();
    this.#deliveries.hello(hello);
    if (from !== this.#transport) return;
    this.#owner.changed({
      state: 'live', transport: from.name, attempt: 0, retryAt: null, code: null, reason: null,
    });
  }

  // ── is the server still there? ──────────────────────────────────────────────────────────────

  #watch() {
    const left = this.#heartbeat * SILENT_HEARTBEATS - this.#quiet.ms;
    this.#timers.set('silence', Math.max(left, 0), () => this.#checkSilence());
  }

  async #checkSilence() {
    if (this.#quiet.ms < this.#heartbeat * SILENT_HEARTBEATS) return this.#watch();
    const transport = this.#transport;
    if (transport?.name === 'sse') {
      // EventSource does not report heartbeats: a request for events shows whether any were missed
      const before = this.#deliveries.cursor;
      const missed = await this.#requests.page(this.#deliveries.start(), 1).then(
        (page) => page.events.length > 0,
        () => true,
      );
      if (transport !== this.#transport) return;
      if (!missed || before !== this.#deliveries.cursor) {
        this.#quiet.restart();
        return this.#watch();
      }
    }
    this.#ended(transport, 1006);
  }

  // ── from SSE back to WebSocket ──────────────────────────────────────────────────────────────

  #tryWebSocketLater() {
    this.#timers.set('trial', this.#choice.nextTrial(), () => this.#tryWebSocket());
  }

  async #tryWebSocket() {
    const period = this.#period;
    const url = await this.#requests.streamAddress('websocket', this.#deliveries.start()).catch(() => null);
    if (period !== this.#period) return;
    if (url === null) return this.#tryWebSocketLater();
    const trial = openTransport(this.#options, 'websocket', url, this.#listener);
    this.#trial = trial;
    this.#timers.set('trial', HELLO_TIMEOUT_MS, () => this.#ended(trial, 1006));
  }

  /** Continues on the WebSocket that was on trial: it works. @param {Transport} trial */
  #adopt(trial) {
    this.#transport?.close();
    this.#timers.cancel('trial');
    this.#transport = trial;
    this.#trial = null;
    this.#closeMessage = null;
  }
}
