/** Tasks that the stream's list does not have, read from the server page by page. */

import { getTasks } from './api.js';

/** @typedef {import('./api.js').RelayTask} RelayTask */
/** @typedef {import('./api.js').Query} Query */

const PAGE = '100'; // tasks

export class TaskPages {
  /** @type {Map<string, RelayTask>} */ found = new Map();
  #query;
  /** @type {string | null} */ #next; // '' begins; null: there are no more
  #loading = false;
  failed = false;

  /** @param {Query | null} query null: there is nothing to read @param {number} before the seq before which their last event is; 0: any */
  constructor(query, before) {
    this.#query = query;
    this.#next = query === null ? null : before > 0 ? String(before) : '';
  }

  get done() {
    return this.#next === null;
  }

  get loading() {
    return this.#loading;
  }

  /** Reads the next page, unless one is under way. @returns {Promise<boolean>} whether it did */
  async more() {
    if (this.#loading || this.#next === null) return false;
    this.#loading = true;
    try {
      const { tasks, next } = await getTasks({ ...this.#query, limit: PAGE, ...(this.#next && { after: this.#next }) });
      for (const task of tasks) this.found.set(task.task_id, task);
      this.#next = next ?? null;
      this.failed = false;
    } catch {
      this.failed = true; // the board tries again
    } finally {
      this.#loading = false;
    }
    return true;
  }
}
