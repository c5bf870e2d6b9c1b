/** Several tabs of one browser: its locks, its channel, and pages of events by HTTP. */
import { hello, last, open, pass, startOver } from './streams.mjs';

/** One of the browser's locks: a queue, and a holder that can be robbed. */
class FakeLock {
  #holder = null;
  #queue = [];

  request({ steal = false }, granted) {
    return new Promise((resolve, reject) => {
      const request = { granted, resolve, reject };
      if (steal) {
        this.#holder?.reject(new Error('stolen'));
        this.#hold(request);
      } else {
        this.#queue.push(request);
        queueMicrotask(() => this.#next());
      }
    });
  }

  #next() {
    if (this.#holder === null && this.#queue.length > 0) this.#hold(this.#queue.shift());
  }

  async #hold(request) {
    this.#holder = request;
    await request.granted();
    request.resolve();
    if (this.#holder !== request) return;
    this.#holder = null;
    this.#next();
  }
}

/** The browser's locks by name. */
class FakeLocks {
  #locks = new Map();

  request(name, options, granted) {
    if (!this.#locks.has(name)) this.#locks.set(name, new FakeLock());
    return this.#locks.get(name).request(options, granted);
  }
}

/** A BroadcastChannel that delivers soon, in order; a frozen tab's does not. */
export class FakeChannel {
  static open = new Set();
  frozen = false;

  constructor(name) {
    this.name = name;
    FakeChannel.open.add(this);
  }

  postMessage(message) {
    const data = structuredClone(message);
    for (const other of FakeChannel.open) {
      if (other !== this && other.name === this.name && !other.frozen) queueMicrotask(() => { if (FakeChannel.open.has(other)) other.onmessage({ data }); });
    }
  }

  close() {
    FakeChannel.open.delete(this);
  }
}

/** Pages of events, as GET /api/events gives them; the test may hold one back. */
export class FakeJournal {
  stored = [];
  oldest = 1;
  held = Promise.resolve();

  fetch = async (url) => {
    const after = Number(url.searchParams.get('after').split('.')[1]);
    const events = this.stored.filter(({ seq }) => seq > after);
    const { oldest } = this;
    await this.held;
    return Response.json({ events, cursor: `e.${events.at(-1)?.seq ?? after}`, resumed: true, oldest });
  };
}

export function startTabsOver() {
  startOver();
  FakeChannel.open.clear();
  globalThis.BroadcastChannel = FakeChannel;
  Object.defineProperty(globalThis, 'navigator', { value: { locks: new FakeLocks(), onLine: true }, configurable: true });
}

/** Two tabs of one user, the first of which leads and is live. */
export async function pair(journal = new FakeJournal(), more = {}) {
  const options = { share: 'us', fetch: journal.fetch, ...more };
  const first = await open(options);
  last().say(hello('e.0'));
  await pass(0);
  const second = await open(options);
  await pass(0);
  return { first, second, journal };
}
