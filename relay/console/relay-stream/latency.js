/** How long live events take from the server to this page, measured with two clocks that differ. */

/** @typedef {import('../relay-stream.d.ts').RelayEvent} RelayEvent */

export class Latency {
  // By `performance.now()`, which is never set: this machine's clock may be hours behind, and right again.
  #liveSince = 0; // ms; 0: not live, so events that arrive now were stored before
  #serverAhead = -Infinity; // ms that the server's clock is ahead of it, at least: no event arrives before it was received
  /** @type {number | null} */ #latest = null;

  /** About how many milliseconds the last live event took; null before the first. */
  get latest() {
    return this.#latest;
  }

  get measuring() {
    return this.#liveSince > 0;
  }

  start() {
    this.#liveSince = performance.now();
  }

  stop() {
    this.#liveSince = 0;
  }

  /** @param {RelayEvent} event */
  observe(event) {
    const now = performance.now();
    const received = Date.parse(event.received_at);
    this.#serverAhead = Math.max(this.#serverAhead, received - now);
    const ahead = Math.max(this.#serverAhead, Date.now() - now);
    if (this.measuring && received - ahead >= this.#liveSince) this.#latest = Math.round(now + ahead - received);
  }
}
