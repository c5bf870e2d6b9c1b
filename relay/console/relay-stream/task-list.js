/** The user's tasks as the server tells them: all of them at the start of a connection, then each that changes. */

import { Timers, delayFor } from './timers.js';

/** @typedef {import('../relay-stream.d.ts').RelayTask} RelayTask */
/** @typedef {import('../relay-stream.d.ts').TaskChange} TaskChange */
/** @typedef {import('../relay-stream.d.ts').TaskCounts} TaskCounts */
/** @typedef {import('../relay-stream.d.ts').TasksState} TasksState */
/** @typedef {import('./requests.js').Requests} Requests */
/** @typedef {import('./transports.js').TasksMessage} TasksMessage */
/** @typedef {import('./transports.js').TaskMessage} TaskMessage */
/** @typedef {{ state: TasksState, cursor: string | null, counts: TaskCounts, completeSince: number, horizon: number, tasks: RelayTask[] }} TasksCopy of another tab */

const SNAPSHOT_WAIT_MS = 10_000; // after a hello; the server sends its tasks at once, and one that does not know them never
const MAX_ENDED = 1_000; // tasks that are over and stay in the list; older ones are a call away
const RECOUNT_AFTER_MS = 1_000;
const OVER = new Set(['succeeded', 'failed', 'canceled']);

export class TaskList extends EventTarget {
  #requests;
  #wanted;
  /** @type {Map<string, RelayTask>} */ #tasks = new Map();
  /** @type {TaskCounts} */ #counts = {};
  /** @type {TasksState} */ #state;
  #current = false; // nothing that changed was missed
  /** @type {RelayTask[] | null} */ #parts = null; // of a snapshot that is not whole yet; null: none is expected
  /** @type {string | null} */ #cursor = null;
  #completeSince = 0;
  #horizon = 0; // tasks that began after this seq are certainly new
  #moves = 0; // how often a task went from one count to another
  #refusals = 0; // of the last counts that were asked for, one after another
  #ended = 0; // tasks of the list that are over
  #timers = new Timers();

  /** @param {Requests} requests @param {boolean} wanted */
  constructor(requests, wanted) {
    super();
    this.#requests = requests;
    this.#wanted = wanted;
    this.#state = wanted ? 'waiting' : 'off';
  }

  get state() {
    return this.#state;
  }

  get counts() {
    return { ...this.#counts };
  }

  get cursor() {
    return this.#cursor;
  }

  get completeSince() {
    return this.#completeSince;
  }

  get size() {
    return this.#tasks.size;
  }

  /** @param {string} taskId */
  get(taskId) {
    return this.#tasks.get(taskId);
  }

  /** @param {string} taskId */
  has(taskId) {
    return this.#tasks.has(taskId);
  }

  keys() {
    return this.#tasks.keys();
  }

  values() {
    return this.#tasks.values();
  }

  [Symbol.iterator]() {
    return this.#tasks[Symbol.iterator]();
  }

  /** Whether the list is what this tab should have: whole and up to date, or not wanted. */
  get settled() {
    return this.#current || !this.#wanted;
  }

  // ── from a connection ───────────────────────────────────────────────────────────────────────

  /** A connection has begun: its first messages are the tasks. */
  expect() {
    if (!this.#wanted) return;
    this.#parts = [];
    if (this.#state !== 'ready') this.#timers.set('snapshot', SNAPSHOT_WAIT_MS, () => this.missing());
  }

  /** What comes after the hello is not the tasks, or nothing came: this server does not send them, or they are late. */
  missing() {
    if (this.#state === 'missing' || this.#parts === null || this.#parts.length > 0) return;
    this.#replace({ state: 'missing', cursor: null, counts: {}, completeSince: 0, horizon: 0, tasks: [] });
  }

  /** @param {TasksMessage | TaskMessage} message @returns {boolean} false: the start of the snapshot was not seen */
  take(message) {
    if (message.type === 'task') {
      if (this.#current && this.#state === 'ready') this.#change(message);
      return true;
    }
    if (this.#parts === null) return message.more;
    this.#parts.push(...message.tasks);
    this.#timers.cancel('snapshot');
    if (message.more) return true;
    const tasks = this.#parts;
    this.#parts = null;
    const completeSince = Math.max(missingBelow(tasks, message.counts, true), missingBelow(tasks, message.counts, false));
    const horizon = Number(message.cursor.split('.').at(-1));
    this.#replace({ state: 'ready', cursor: message.cursor, counts: message.counts, completeSince, horizon, tasks });
    return true;
  }

  /** Changes are missed from now on, until a connection begins or another tab gives its list. */
  stop() {
    this.#timers.cancelAll();
    this.#parts = null;
    this.#current = false;
  }

  // ── between tabs ────────────────────────────────────────────────────────────────────────────

  /** For another tab. @returns {TasksCopy} */
  copy() {
    return {
      state: this.#state, cursor: this.#cursor, counts: this.#counts, completeSince: this.#completeSince,
      horizon: this.#horizon, tasks: [...this.#tasks.values()],
    };
  }

  /** Takes the list of another tab, unless this one's is up to date. @param {TasksCopy} copy */
  adopt(copy) {
    if ((this.settled && this.#state !== 'missing') || copy.state === 'waiting') return;
    this.#parts = null;
    this.#replace(copy);
  }

  // ── changes ─────────────────────────────────────────────────────────────────────────────────

  /** @param {TasksCopy} found */
  #replace({ state, cursor, counts, completeSince, horizon, tasks }) {
    this.#timers.cancelAll();
    this.#refusals = 0;
    this.#current = true;
    const before = this.#tasks;
    this.#tasks = new Map(tasks.map((task) => [task.task_id, task]));
    this.#state = state;
    this.#cursor = cursor;
    this.#counts = counts;
    this.#completeSince = completeSince;
    this.#horizon = horizon;
    this.#moves += 1;
    this.#ended = tasks.filter(({ state: of }) => OVER.has(of)).length;
    this.#emit(tasks.map((task) => ({ task_id: task.task_id, task, before: before.get(task.task_id) ?? null })), true);
  }

  /** @param {TaskMessage} message */
  #change({ task = null, task_id = `${task?.task_id}` }) {
    const before = this.#tasks.get(task_id) ?? null;
    const shown = task !== null && !task.hidden ? task : null;
    if (shown === null) this.#tasks.delete(task_id);
    else this.#tasks.set(task_id, shown);
    if (before?.state !== shown?.state) {
      this.#moves += 1;
      if (before !== null) this.#count(before.state, -1);
      if (shown !== null) this.#count(shown.state, 1);
      this.#ended += Number(OVER.has(shown?.state ?? '')) - Number(OVER.has(before?.state ?? ''));
    }
    const isNew = shown !== null && shown.run === 1 && shown.first_seq > this.#horizon;
    if (before === null && !isNew) this.#recountSoon(); // it may have been counted, as one of those that are not in the list
    this.#emit([{ task_id, task, before }], false);
    this.#letGo();
  }

  /** @param {RelayTask['state']} state @param {1 | -1} by */
  #count(state, by) {
    this.#counts = { ...this.#counts, [state]: Math.max(0, (this.#counts[state] ?? 0) + by) };
  }

  /** Drops the oldest tenth of the ended tasks when there are too many. They are still counted. */
  #letGo() {
    if (this.#ended <= MAX_ENDED) return; // at every change: it must not look through them
    const ended = [...this.#tasks.values()].filter(({ state }) => OVER.has(state));
    ended.sort((a, b) => a.last_seq - b.last_seq);
    for (const task of ended.slice(0, ended.length - MAX_ENDED * 0.9)) {
      this.#tasks.delete(task.task_id);
      this.#completeSince = Math.max(this.#completeSince, task.last_seq + 1);
      this.#horizon = Math.max(this.#horizon, task.last_seq);
      this.#ended -= 1;
    }
  }

  /** Asks the server for the counts in a moment; one that has refused is asked when it is its time. */
  #recountSoon() {
    this.#moves += 1; // also of tasks that are not in the list
    if (this.#refusals === 0) this.#timers.set('recount', RECOUNT_AFTER_MS, () => this.#recount());
  }

  /** Asks until nothing has moved while the server answered. */
  async #recount() {
    const moves = this.#moves;
    /** @type {number | null} */ let advised = null;
    const counts = await this.#requests.taskCounts().catch((problem) => {
      advised = problem.retryAfter ?? null;
      return null;
    });
    if (this.#state !== 'ready' || !this.#current) return; // a list that was stopped comes anew when it goes on
    if (counts === null) {
      this.#refusals += 1;
      return this.#timers.set('recount', delayFor(this.#refusals + 1, advised), () => this.#recount());
    }
    this.#refusals = 0;
    this.#counts = counts;
    this.#emit([], false);
    // a change that is counted may still be on its way here: then it is counted twice
    this.#timers.set('recount', RECOUNT_AFTER_MS, () => { if (this.#moves !== moves) this.#recount(); });
  }

  /** @param {TaskChange[]} tasks @param {boolean} whole */
  #emit(tasks, whole) {
    this.dispatchEvent(new CustomEvent('change', { detail: { tasks, whole } }));
  }
}

/**
 * The seq from which on all tasks of a kind are in a snapshot: 0, if it has as many as are counted.
 * @param {RelayTask[]} tasks @param {TaskCounts} counts @param {boolean} over
 */
function missingBelow(tasks, counts, over) {
  const ofKind = tasks.filter(({ state }) => OVER.has(state) === over);
  const counted = Object.entries(counts).reduce((sum, [state, count]) => sum + (OVER.has(state) === over ? count : 0), 0);
  return ofKind.length >= counted ? 0 : Math.min(...ofKind.map(({ last_seq }) => last_seq));
}
