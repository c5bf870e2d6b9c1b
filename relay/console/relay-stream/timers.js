/** Named timers, the time since something, and the delay before the next attempt. */

const FIRST_RETRY_MS = 500; // doubles up to LONGEST_RETRY_MS, with jitter
export const LONGEST_RETRY_MS = 30_000;
const LONGEST_ADVISED_MS = 300_000; // a proxy may advise a day, and a timer of 25 days ends at once

/**
 * Milliseconds to wait before attempt number `attempt` (from 1), never less than the server
 * advised, up to five minutes. The jitter keeps a thousand pages from reconnecting at the same moment.
 * @param {number} attempt @param {number | null} [advised] @param {() => number} [random]
 */
export function delayFor(attempt, advised = null, random = Math.random) {
  const backoff = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.max(0, attempt - 1));
  const least = advised === null ? backoff / 2 : Math.max(Math.min(advised, LONGEST_ADVISED_MS), attempt > 1 ? backoff / 2 : 0);
  return Math.round(least + (random() * backoff) / 2);
}

/**
 * The time since it was made or restarted, by the greater of two clocks. `performance.now()` stands
 * still in some browsers while the machine sleeps, and the time of day may be set back.
 */
export class Stopwatch {
  #steady = performance.now();
  #clock = Date.now();

  get ms() {
    return Math.max(performance.now() - this.#steady, Date.now() - this.#clock);
  }

  restart() {
    this.#steady = performance.now();
    this.#clock = Date.now();
  }
}

/** Timers by name: a name has one timer at most, and setting it again replaces it. */
export class Timers {
  /** @type {Map<string, ReturnType<typeof setTimeout>>} */ #running = new Map();

  /** @param {string} name @param {number} wait ms @param {() => void} then */
  set(name, wait, then) {
    this.cancel(name);
    this.#running.set(name, setTimeout(then, wait));
  }

  /** @param {string} name */
  cancel(name) {
    clearTimeout(this.#running.get(name));
    this.#running.delete(name);
  }

  cancelAll() {
    for (const name of [...this.#running.keys()]) this.cancel(name);
  }
}
