/** Tasks that the stream's list does not have, read from the server page by page. */

import { getTasks } from './api.js';
import { OneRead } from './one-read.js';

/** @typedef {import('./api.js').RelayTask} RelayTask */
/** @typedef {import('./api.js').Query} Query */

const PAGE = '100'; // tasks

export class TaskPages {
  /** @type {Map<string, RelayTask>} */ found = new Map();
  #query;
  /** @type {string | null} */ #next; // '' begins; null: there are no more
  #read = new OneRead();

  /** @param {Query | null} query null: there is nothing to read @param {number} before the seq before which their last event is; 0: any */
  constructor(query, before) {
    this.#query = query;
    this.#next = query === null ? null : before > 0 ? String(before) : '';
  }

  get done() {
    return this.#next === null;
  }

  get loading() {
    return this.#read.loading;
  }

  get failed() {
    return this.#read.failed;
  }

  /** Reads the next page, unless one is under way. @returns {Promise<boolean>} whether it did */
  async more() {
    const after = this.#next;
    if (after === null) return false;
    return this.#read.begin(async () => {
      const { tasks, next } = await getTasks({ ...this.#query, limit: PAGE, ...(after && { after }) });
      for (const task of tasks) this.found.set(task.task_id, task);
      this.#next = next ?? null;
    });
  }
}
