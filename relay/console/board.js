/** Which tasks the board shows: by state, by title, hidden or not; of the stream's list, and older ones of the server. */

import { TaskPages } from './task-pages.js';
import { inOrder } from './task-words.js';
import { titleOf } from './task-names.js';

/** @typedef {import('./relay-stream.d.ts').RelayTask} RelayTask */
/** @typedef {import('./relay-stream.d.ts').RelayTasks} RelayTasks */
/** @typedef {import('./relay-stream.d.ts').TaskChanges} TaskChanges */
/** @typedef {import('./relay-stream.d.ts').TaskState} TaskState */
/** @typedef {'all' | 'waiting' | 'running' | 'lost' | 'failed'} FilterName */
/** @typedef {{ filter: FilterName, query: string, hidden: boolean }} View */

/** @type {Map<FilterName, string>} */
export const FILTERS = new Map([['waiting', 'Needs you'], ['running', 'Running'], ['lost', 'Lost'], ['failed', 'Failed'], ['all', 'All']]);

export class Board {
  /** @type {View} */ view = { filter: 'all', query: '', hidden: false };
  #tasks;
  #pages = new TaskPages(null, 0);
  #changed;

  /** @param {RelayTasks} tasks @param {() => void} changed called when a page has come */
  constructor(tasks, changed) {
    this.#tasks = tasks;
    this.#changed = changed;
  }

  /** @param {Partial<View>} change */
  look(change) {
    this.view = { ...this.view, ...change };
    this.#startPages();
  }

  /** A task that is on the board now, or in the list. @param {string} id */
  find(id) {
    return this.#tasks.get(id) ?? this.#pages.found.get(id);
  }

  /** What the stream has reported. @param {TaskChanges} changes */
  apply({ tasks, whole }) {
    if (whole) return this.#startPages();
    const { found } = this.#pages;
    for (const { task_id: id, task } of tasks) {
      if (task !== null && this.view.hidden && task.hidden) found.set(id, task);
      else if (task === null || task.hidden !== this.view.hidden) found.delete(id);
      else if (found.has(id)) found.set(id, task);
    }
  }

  /** The tasks to show, in order. @returns {RelayTask[]} */
  rows() {
    const known = this.view.hidden ? this.#pages.found : new Map([...this.#pages.found, ...this.#tasks]);
    return [...known.values()].filter((task) => this.#passes(task)).sort(inOrder);
  }

  /** How many there are to show; null: that is not known. @param {number} shown */
  total(shown) {
    const { filter, query, hidden } = this.view;
    if (this.#pages.done) return shown;
    return query || hidden ? null : Math.max(shown, this.count(filter));
  }

  /** How many tasks a filter has. @param {FilterName} filter */
  count(filter) {
    const { counts } = this.#tasks;
    if (filter !== 'all') return counts[filter] ?? 0;
    return Object.values(counts).reduce((sum, count) => sum + count, 0);
  }

  get loading() {
    return this.#pages.loading;
  }

  get failed() {
    return this.#pages.failed;
  }

  /** Reads older tasks, if there are any. */
  async more() {
    const pages = this.#pages;
    if (this.#tasks.state === 'ready' && (await pages.more()) && pages === this.#pages) this.#changed();
  }

  #startPages() {
    const { filter, query, hidden } = this.view;
    const { completeSince } = this.#tasks;
    const asked = {
      ...(filter !== 'all' && { state: filter }), ...(query && { q: query }), ...(hidden && { hidden: 'true' }),
    };
    this.#pages = hidden ? new TaskPages(asked, 0) : new TaskPages(completeSince > 0 ? asked : null, completeSince);
  }

  /** @param {RelayTask} task */
  #passes(task) {
    const { filter, query } = this.view;
    if (filter !== 'all' && task.state !== filter) return false;
    return query === '' || titleOf(task).toLowerCase().includes(query.toLowerCase());
  }
}
