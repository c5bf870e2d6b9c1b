/** The demo: this page as a producer, through the real API, with a token of its own. */

import { Problem, call, makeToken } from './api.js';
import { scenes } from './demo-scenes.js';

const PAUSE = 6; // seconds between two showings
const TICK = 250; // ms; what falls into one tick goes in one request

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
      ({ token: this.#token } = await makeToken({ name: 'demo', expires_in: 3600 }));
      while (!playing.signal.aborted) await this.#show(playing.signal);
    } catch (problem) {
      if (!playing.signal.aborted) this.#failed(problem);
    }
    if (this.#playing === playing) this.#playing = null;
    this.#changed();
  }

  /** The curtain falls: open tasks end, the token is taken back. */
  async stop() {
    if (this.#playing === null) return;
    this.#playing.abort();
    this.#playing = null;
    this.#changed();
    const token = this.#token;
    this.#token = '';
    if (!token) return;
    const last = [...this.#open].map((task) => event('task_failed', task, { message: 'The demo was stopped', exit_code: 130 }));
    this.#open.clear();
    try {
      if (last.length > 0) await call('POST', 'api/webhook/cli', { ndjson: last, token, keepalive: true });
      await call('POST', 'api/token/revoke', { body: {}, token, keepalive: true });
    } catch { /* it ends by itself within the hour */ }
  }

  /** @param {AbortSignal} signal */
  async #show(signal) {
    const beats = scenes(Date.now().toString(36).slice(-5));
    const begun = performance.now();
    while (beats.length > 0) {
      const now = (performance.now() - begun) / 1000;
      const due = beats.findIndex((beat) => beat.at > now);
      const batch = beats.splice(0, due === -1 ? beats.length : due);
      if (batch.length > 0) await this.#send(batch, signal);
      await sleep(TICK, signal);
    }
    await sleep(PAUSE * 1000, signal);
  }

  /** @param {import('./demo-scenes.js').Beat[]} batch @param {AbortSignal} signal */
  async #send(batch, signal) {
    const ndjson = batch.map(({ type, task, payload }) => event(type, task, payload));
    for (;;) {
      try {
        await call('POST', 'api/webhook/cli', { ndjson, token: this.#token, signal });
        break;
      } catch (problem) {
        // the ids stand, so sending again cannot tell anything twice
        const passing = problem instanceof Problem && [0, 429, 503].includes(problem.status);
        if (!passing) throw problem;
        await sleep(Math.max(1, problem.retryAfter) * 1000, signal);
      }
    }
    for (const { type, task } of batch) {
      if (type === 'task_started') this.#open.add(task);
      else if (type === 'task_succeeded' || type === 'task_failed') this.#open.delete(task);
    }
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

/** @param {number} ms @param {AbortSignal} signal */
function sleep(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
  });
}
