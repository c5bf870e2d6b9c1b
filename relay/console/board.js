/** Which tasks the board shows: by state, by title, hidden or not, alone or in groups; of the stream's list, and older ones of the server. */

import { TaskGroups } from './task-groups.js';
import { TaskPages } from './task-pages.js';
import { inOrder } from './task-words.js';
import { titleOf } from './task-names.js';

/** @typedef {import('./relay-stream.d.ts').RelayTask} RelayTask */
/** @typedef {import('./relay-stream.d.ts').RelayTasks} RelayTasks */
/** @typedef {import('./relay-stream.d.ts').TaskChanges} TaskChanges */
/** @typedef {import('./relay-stream.d.ts').TaskState} TaskState */
/** @typedef {'all' | 'waiting' | 'running' | 'lost' | 'failed'} FilterName */
/** @typedef {import('./api.js').TaskGroup} TaskGroup */
/** @typedef {{ title: string } | { parent_id: string }} Kind what the tasks of a group have in common */
/** @typedef {{ filter: FilterName, query: string, hidden: boolean, by: '' | 'title' | 'parent', within: Kind | null }} View `by`: how tasks are grouped; `within`: the tasks of one group alone */

/** @type {Map<FilterName, string>} */
export const FILTERS = new Map([['waiting', 'Needs you'], ['running', 'Running'], ['lost', 'Lost'], ['failed', 'Failed'], ['all', 'All']]);

const QUIET_MS = 5_000; // after a failure, until it is tried again

export class Board {
  /** @type {View} */ view = { filter: 'all', query: '', hidden: false, by: '', within: null };
  #tasks;
  #pages = new TaskPages(null, 0);
  /** @type {TaskGroups | null} */ #groups = null; // null: they are not shown
  /** @type {TaskGroups | null} */ #allGroups = null; // also while the tasks of one are shown
  /** By the task that stands for each. @type {Map<string, TaskGroup>} */ #shownGroups = new Map();
  #quietUntil = 0; // ms, of a clock that nothing sets
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
    return this.#tasks.get(id) ?? this.#pages.found.get(id) ?? this.#shownGroups.get(id)?.task;
  }

  /** The group that a task stands for now. @param {RelayTask} task */
  groupOf({ task_id: id }) {
    return this.#shownGroups.get(id);
  }

  /** What the stream has reported. @param {TaskChanges} changes */
  apply(changes) {
    const { tasks, whole } = changes;
    if (whole) return this.#startPages();
    this.#groups?.apply(changes);
    const { found } = this.#pages;
    for (const { task_id: id, task } of tasks) {
      if (task !== null && this.view.hidden && task.hidden) found.set(id, task);
      else if (task === null || task.hidden !== this.view.hidden) found.delete(id);
      else if (found.has(id)) found.set(id, task);
    }
  }

  /** The tasks to show, in order. @returns {RelayTask[]} */
  rows() {
    if (this.#groups !== null) return this.#groupRows(this.#groups);
    const known = this.view.hidden ? this.#pages.found : new Map([...this.#pages.found, ...this.#tasks]);
    return [...known.values()].filter((task) => this.#passes(task)).sort(inOrder);
  }

  /** How many there are to show; null: that is not known. @param {number} shown */
  total(shown) {
    const { filter, query, hidden, within } = this.view;
    if (this.#source.done) return shown;
    return this.#groups || query || hidden || within ? null : Math.max(shown, this.count(filter));
  }

  /** How many tasks a filter has. @param {FilterName} filter */
  count(filter) {
    const { counts } = this.#tasks;
    if (filter !== 'all') return counts[filter] ?? 0;
    return Object.values(counts).reduce((sum, count) => sum + count, 0);
  }

  get loading() {
    return this.#source.loading;
  }

  get failed() {
    return this.#source.failed;
  }

  get #source() {
    return this.#groups ?? this.#pages;
  }

  /** Reads older tasks, or more groups, if there are any. After a failure it does so no sooner than some seconds later. */
  async more() {
    const source = this.#source;
    if (this.#tasks.state !== 'ready' || performance.now() < this.#quietUntil) return;
    const tried = await source.more();
    if (source !== this.#source) return;
    if (source.failed) this.#quietUntil = performance.now() + QUIET_MS;
    if (tried) this.#changed();
  }

  #startPages() {
    const { filter, query, hidden, by, within } = this.view;
    const { completeSince } = this.#tasks;
    const asked = {
      ...(filter !== 'all' && { state: filter }), ...(query && { q: query }), ...(hidden && { hidden: 'true' }), ...within,
    };
    this.#startGroups(by === '' ? '' : new URLSearchParams({ by, ...asked }).toString());
    this.#pages = hidden ? new TaskPages(asked, 0) : new TaskPages(completeSince > 0 ? asked : null, completeSince);
    this.#quietUntil = 0;
    if (this.#groups !== null) this.more();
  }

  /** Those that were left for the tasks of one are there again at once. @param {string} asked '' for none */
  #startGroups(asked) {
    this.#shownGroups.clear();
    this.#groups = null;
    if (asked !== '' && this.view.within !== null) return;
    if (asked === '' || asked !== this.#allGroups?.asked) {
      this.#allGroups?.end();
      this.#allGroups = asked === '' ? null : new TaskGroups(asked, this.#changed);
    } else this.#allGroups.again();
    this.#groups = this.#allGroups;
  }

  /** In the server's order, each as it is by now. @param {TaskGroups} groups @returns {RelayTask[]} */
  #groupRows(groups) {
    this.#shownGroups.clear();
    return [...groups.found.values()].map((group) => {
      const { task_id: id } = group.task;
      if (group.tasks > 1) this.#shownGroups.set(id, group);
      return this.#tasks.get(id) ?? group.task;
    });
  }

  /** @param {RelayTask} task */
  #passes(task) {
    const { filter, query, within } = this.view;
    if (filter !== 'all' && task.state !== filter) return false;
    if (within !== null && !('title' in within ? task.title === within.title : task.parent_id === within.parent_id)) return false;
    return query === '' || titleOf(task).toLowerCase().includes(query.toLowerCase());
  }
}
