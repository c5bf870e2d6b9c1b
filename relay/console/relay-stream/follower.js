/** A following tab: it reads missed events by HTTP and gets new ones from the leading tab. */

import { Refusal } from './requests.js';
import { parseCursor } from './sequence.js';
import { Timers, delayFor } from './timers.js';

/** @typedef {import('../relay-stream.d.ts').RelayEvent} RelayEvent */
/** @typedef {import('./requests.js').Requests} Requests */
/** @typedef {import('./requests.js').Page} Page */
/** @typedef {import('./sequence.js').Deliveries} Deliveries */
/** @typedef {import('./task-list.js').TaskList} TaskList */
/** @typedef {import('./tabs.js').LeaderState} LeaderState */
/** @typedef {import('./transports.js').Message} Message */

const MAX_PENDING = 5_000; // events kept while catching up; further ones are read by HTTP
const PAGE_LIMIT = 1_000; // events
const RETRY_ATTEMPT = 3; // the delay before a failed page is requested again is that of a third attempt
const NUDGE_AFTER_MS = 1_000; // after the leader's retry time; later it counts as slow
const HELLO = /** @type {const} */ ({ type: 'hello', heartbeat_s: 25 });

export class Follower {
  #requests;
  #deliveries;
  #tasks;
  #ask;
  /** @type {'stopped' | 'following' | 'catching up'} */ #state = 'stopped';
  #period = 0; // counts starts and stops: a page that was requested in an earlier period is dropped
  #timers = new Timers();
  /** @type {RelayEvent[]} */ #pending = [];

  /** @param {Requests} requests @param {Deliveries} deliveries @param {TaskList} tasks @param {(kind: 'nudge' | 'askTasks') => void} ask `nudge` wakes the leader */
  constructor(requests, deliveries, tasks, ask) {
    this.#requests = requests;
    this.#deliveries = deliveries;
    this.#tasks = tasks;
    this.#ask = ask;
  }

  start() {
    this.#enter('following');
  }

  stop() {
    this.#enter('stopped');
  }

  /** Messages that the leader received. @param {Message[]} list */
  messages(list) {
    for (const message of list) {
      if (this.#state === 'stopped') return;
      this.#take(message);
    }
  }

  /** The leader's state. @param {LeaderState} leader */
  leaderState({ state: { state, retryAt }, cursor }) {
    if (this.#state === 'stopped') return;
    if (state === 'live' && !this.#tasks.settled) this.#ask('askTasks');
    if (retryAt !== null && !globalThis.document?.hidden) {
      // the leader may be a hidden tab with slow timers: wake it when its retry is overdue
      this.#timers.set('nudge', Math.max(0, retryAt - Date.now()) + NUDGE_AFTER_MS, () => this.#ask('nudge'));
    }
    if (!this.#deliveries.helloSeen || this.#deliveries.isBehind(cursor)) this.catchUp(cursor);
  }

  /** Reads the events that this tab has missed. @param {string | null} [leaderCursor] */
  async catchUp(leaderCursor = null) {
    if (this.#state !== 'following') return;
    if (this.#deliveries.start().length === 0) {
      if (leaderCursor === null) return; // without a start of its own, this tab starts at the leader's cursor
      this.#deliveries.hello({ ...HELLO, cursor: leaderCursor, resumed: false, oldest: 0 });
      if (this.#state !== 'following') return;
    }
    this.#state = 'catching up';
    const period = this.#period;
    const outdated = () => period !== this.#period;
    try {
      let page;
      do {
        page = await this.#requests.page(this.#deliveries.start(), PAGE_LIMIT);
        if (!outdated()) this.#takePage(page, outdated);
        if (!outdated()) this.#takePending(outdated);
        if (outdated()) return;
      } while (page.events.length > 0);
      this.#pending.length = 0;
    } catch (problem) {
      if (outdated()) return;
      if (problem instanceof Refusal && problem.code === 4401) this.#requests.expireCredential();
      this.#timers.set('retry', delayFor(RETRY_ATTEMPT), () => this.catchUp());
    } finally {
      if (!outdated()) this.#state = 'following';
    }
  }

  /** @param {'stopped' | 'following'} state */
  #enter(state) {
    this.#state = state;
    this.#period += 1;
    this.#timers.cancelAll();
    this.#pending.length = 0;
  }

  /** @param {Message} message */
  #take(message) {
    const { helloSeen, next } = this.#deliveries;
    if ('type' in message) {
      if (message.type === 'hello') {
        this.#tasks.expect();
        if (message.reason && helloSeen) this.#deliveries.hello(message);
      } else if (message.type === 'gap' && message.from === next) this.#deliveries.gap(message);
      else if (message.type === 'tasks' || message.type === 'task') {
        if (!this.#tasks.take(message)) this.#ask('askTasks');
      }
      return;
    }
    this.#tasks.missing();
    if (helloSeen && this.#state === 'following' && this.#deliveries.judge(message) !== 'hole') {
      this.#deliveries.takeNext(message);
    } else {
      if (this.#pending.push(message) > MAX_PENDING) this.#pending.shift();
      this.catchUp(message.cursor);
    }
  }

  /** @param {Page} page @param {() => boolean} outdated */
  #takePage(page, outdated) {
    const { helloSeen, next, cursor } = this.#deliveries;
    const { events, resumed, reason, oldest } = page;
    const epoch = `${parseCursor(page.cursor)?.epoch}`;
    if (!helloSeen || reason) {
      const start = events.length > 0 ? `${epoch}.${events[0].seq - 1}` : page.cursor;
      this.#deliveries.hello({ ...HELLO, cursor: resumed && cursor ? cursor : start, resumed, reason, oldest });
      if (resumed && next < oldest) this.#deliveries.skip(epoch, next, oldest - 1);
    } else if (oldest > next) {
      this.#deliveries.skip(epoch, next, oldest - 1);
    }
    for (const event of events) {
      if (outdated()) return;
      this.#deliveries.takeNext(event);
    }
  }

  /** Takes events that arrived while the page was read, up to the first hole. @param {() => boolean} outdated */
  #takePending(outdated) {
    const pending = this.#pending.splice(0).filter((event) => this.#deliveries.judge(event) !== 'duplicate');
    while (pending.length > 0 && !outdated() && this.#deliveries.takeNext(pending[0])) pending.shift();
    if (!outdated()) this.#pending.unshift(...pending);
  }
}
