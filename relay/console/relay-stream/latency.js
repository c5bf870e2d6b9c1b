/** How long live events take from the server to this page, measured with two clocks that differ. */

/** @typedef {import('../relay-stream.d.ts').RelayEvent} RelayEvent */

export class Latency {
  #liveSince = 0; // ms since 1970; 0: not live, so events that arrive now were stored before
  #skew = 0; // ms that the server's clock is ahead of this one, at least: no event arrives before it was received
  /** @type {number | null} */ #latest = null;

  /** About how many milliseconds the last live event took; null before the first. */
  get latest() {
    return this.#latest;
  }

  get measuring() {
    return this.#liveSince > 0;
  }

  start() {
    this.#liveSince = Date.now();
  }

  stop() {
    this.#liveSince = 0;
  }

  /** @param {RelayEvent} event */
  observe(event) {
    const now = Date.now();
    const received = Date.parse(event.received_at);
    this.#skew = Math.max(this.#skew, received - now);
    if (this.measuring && received - this.#skew >= this.#liveSince) {
      this.#latest = now - received + this.#skew;
    }
  }
}
