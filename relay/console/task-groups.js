/** Tasks in groups, read from the server page by page: by title, or parents with their children. */

import { getGroups } from './api.js';
import { OneRead } from './one-read.js';

/** @typedef {import('./api.js').TaskGroup} TaskGroup */
/** @typedef {import('./relay-stream.d.ts').RelayTask} RelayTask */
/** @typedef {import('./relay-stream.d.ts').TaskChanges} TaskChanges */

const PAGE = 100; // groups, the most that the server gives at once
const AGAIN_AFTER_MS = 2_000; // after the last reading, however much has changed since

export class TaskGroups {
  /** By what its tasks have in common, in the server's order. @type {Map<string, TaskGroup>} */ found = new Map();
  #changed;
  /** @type {string | null} */ #next = ''; // '' begins; null: there are no more
  #reading = new OneRead();
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  #ended = false;

  /** @param {string} asked the query that finds them @param {() => void} changed called when groups have come again */
  constructor(asked, changed) {
    this.asked = asked;
    this.#changed = changed;
  }

  get done() {
    return this.#next === null;
  }

  get loading() {
    return this.#reading.loading;
  }

  get failed() {
    return this.#reading.failed;
  }

  /** Reads the next page, unless one is under way. @returns {Promise<boolean>} whether it did */
  async more() {
    return this.#next !== null && this.#read(this.#next);
  }

  /** Reads the groups again when a task of theirs came, went or changed its state. @param {TaskChanges} changes */
  apply({ tasks, whole }) {
    if (whole || tasks.some(({ task, before }) => task?.state !== before?.state || task?.title !== before?.title || task?.hidden !== before?.hidden)) this.#againLater();
  }

  end() {
    this.#ended = true;
    clearTimeout(this.#timer);
  }

  #againLater() {
    if (!this.#ended) this.#timer ??= setTimeout(() => this.again(), AGAIN_AFTER_MS);
  }

  /** Reads the first page again. */
  async again() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (!(await this.#read(''))) this.#againLater();
    else if (!this.#ended) this.#changed();
  }

  /** @param {string} after '' for the first page, which may have changed @returns {Promise<boolean>} whether it was read, or tried */
  #read(after) {
    return this.#reading.begin(async () => {
      const { groups, next } = await getGroups({ ...Object.fromEntries(new URLSearchParams(this.asked)), limit: String(PAGE), ...(after && { after }) });
      const before = this.found;
      if (after === '') this.found = new Map();
      for (const group of groups) this.found.set(keyOf(group), group);
      if (after === '') this.#keepOlder(before, next);
      else this.#next = next ?? null;
    });
  }

  /** The first page has come anew: the groups behind it stay. @param {Map<string, TaskGroup>} before @param {string | undefined} next */
  #keepOlder(before, next) {
    const older = [...before].filter(([key, group]) => next !== undefined && group.last_seq < Number(next) && !this.found.has(key));
    for (const [key, group] of older) this.found.set(key, group);
    if (older.length === 0) this.#next = next ?? null;
  }
}

/** @param {TaskGroup} group */
function keyOf({ title, parent_id: parentId, task }) {
  if (title !== null) return `title ${title}`;
  return parentId === null ? `task ${task.task_id}` : `parent ${parentId}`;
}
