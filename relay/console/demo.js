/** The demo: this page publishes events through the API, with a token of its own. */

import { Problem, call, makeToken } from './api.js';
import { scenes } from './demo-scenes.js';

export const DEMO_TASKS = 'demo-'; // begins the id of each task of the demo
const PAUSE_SECONDS = 6; // between two rounds
const TICK_MS = 250; // events of one tick go in one request

export class Demo extends EventTarget {
  /** @type {AbortController | null} */ #playing = null;
  /** @type {Set<string>} */ #open = new Set(); // tasks that were started and not ended
  #token = '';

  get playing() {
    return this.#playing !== null;
  }

  async start() {
    if (this.#playing !== null) return;
    const playing = new AbortController();
    this.#playing = playing;
    this.#changed();
    try {
      const { token } = await makeToken({ name: 'demo', expires_in: 3600 });
      if (playing.signal.aborted) await revoke(token); // it was stopped meanwhile
      else this.#token = token;
      while (!playing.signal.aborted) await this.#playRound(playing.signal);
    } catch (problem) {
      if (!playing.signal.aborted) {
        this.#failed(problem);
        await this.stop();
      }
    }
  }

  /** Ends the tasks that are still open and revokes the token. */
  async stop() {
    if (this.#playing === null) return;
    this.#playing.abort();
    this.#playing = null;
    this.#changed();
    const token = this.#token;
    this.#token = '';
    if (!token) return;
    const last = [...this.#open].map((task) => event('task_failed', task, { message: 'The demo was stopped', canceled: true }));
    this.#open.clear();
    try {
      if (last.length > 0) await call('POST', 'api/webhook/cli', { ndjson: last, token, keepalive: true });
      await revoke(token);
    } catch { /* the token expires within the hour */ }
  }

  /** @param {AbortSignal} signal */
  async #playRound(signal) {
    const events = scenes(Date.now().toString(36).slice(-5));
    const begun = performance.now();
    while (events.length > 0) {
      const now = (performance.now() - begun) / 1000;
      const later = events.findIndex((event) => event.at > now);
      const batch = events.splice(0, later === -1 ? events.length : later);
      if (batch.length > 0) await this.#send(batch, signal);
      await sleep(TICK_MS, signal);
    }
    await sleep(PAUSE_SECONDS * 1000, signal);
  }

  /** @param {import('./demo-scenes.js').TimedEvent[]} batch @param {AbortSignal} signal */
  async #send(batch, signal) {
    const ndjson = batch.map(({ type, task, payload }) => event(type, task, payload));
    for (const { type, task } of batch) if (type === 'task_started') this.#open.add(task); // also if no answer comes
    for (;;) {
      try {
        await call('POST', 'api/webhook/cli', { ndjson, token: this.#token, signal });
        break;
      } catch (problem) {
        // the event ids stay the same, so that sending again stores nothing twice
        const temporary = problem instanceof Problem && [0, 429, 503].includes(problem.status);
        if (!temporary) throw problem;
        await sleep(problem.pause * 1000, signal);
      }
    }
    for (const { type, task } of batch) if (type === 'task_succeeded' || type === 'task_failed') this.#open.delete(task);
  }

  #changed() {
    this.dispatchEvent(new CustomEvent('change'));
  }

  /** @param {unknown} problem */
  #failed(problem) {
    const detail = problem instanceof Problem ? problem.message : String(problem);
    this.dispatchEvent(new CustomEvent('problem', { detail }));
  }
}

/** @param {string} event_type @param {string} task_id @param {Record<string, unknown>} payload */
function event(event_type, task_id, payload) {
  const unique = [...crypto.getRandomValues(new Uint32Array(3))].map((part) => part.toString(36)).join('');
  return { event_type, task_id, event_id: `demo-${unique}`, ts: new Date().toISOString(), payload };
}

/** A token may end itself. @param {string} token */
const revoke = (token) => call('POST', 'api/token/revoke', { body: {}, token, keepalive: true });

/** @param {number} ms @param {AbortSignal} signal @returns {Promise<void>} */
function sleep(ms, signal) {
  return new Promise((resolve, reject) => {
    const abort = () => { clearTimeout(timer); reject(signal.reason); };
    const timer = setTimeout(() => { signal.removeEventListener('abort', abort); resolve(); }, ms);
    signal.addEventListener('abort', abort, { once: true });
  });
}
