/** The tasks of a stream, from its events. Pure: no document, no clock. */

import { plain } from './ansi.js';
import { instant } from './times.js';

/** @typedef {import('./relay-stream.d.ts').RelayEvent} RelayEvent */
/** @typedef {'running' | 'succeeded' | 'failed'} TaskState */

const MAX_TASKS = 200; // cards; beyond, the ended ones without news for longest are dropped
const ENDINGS = new Map(/** @type {const} */ ([['task_succeeded', 'succeeded'], ['task_failed', 'failed']]));
const HUES = 6;

/** A task, as its events describe it; a second `task_started` begins another run. */
export class Task {
  /** @type {TaskState} */ state = 'running';
  /** @type {number | null} */ progress = null;
  /** @type {number | null} */ exitCode = null;
  /** @type {number | null} */ duration = null; // seconds, known when it ended
  message = '';
  run = 0;
  title = '';
  startedAt = 0; // ms, the server's clock
  startedSeq = 0;
  startedTs = 0; // ms, the producer's clock: a duration is the difference of two times of one clock
  endedSeq = 0;
  endedAt = 0; // ms, the server's clock
  lastAt = 0;

  /** @param {string} key @param {string} id */
  constructor(key, id) {
    this.key = key;
    this.id = id;
    this.hue = [...key].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) >>> 0, 7) % HUES;
  }

  /** @param {RelayEvent} event */
  begin(event) {
    this.state = 'running';
    this.progress = this.exitCode = this.duration = null;
    this.message = '';
    this.run += 1;
    this.endedSeq = 0;
    this.startedSeq = event.seq;
    this.startedAt = Date.parse(event.received_at);
    this.startedTs = instant(event.ts);
  }
}

/** All tasks of the stream, and how many run and failed. */
export class TaskModel {
  /** @type {Map<string, Task>} */ tasks = new Map();
  clearedSeq = 0; // tasks that ended up to this seq were cleared from the board

  get running() {
    return this.#count('running');
  }

  get failed() {
    return this.#count('failed');
  }

  /** @param {TaskState} state */
  #count(state) {
    let count = 0;
    for (const task of this.tasks.values()) if (task.state === state) count += 1;
    return count;
  }

  /**
   * Applies an event. `ended`: this event ended its task. `task` is null for a log line of no task.
   * @param {RelayEvent} event @returns {{ task: Task | null, ended: boolean }}
   */
  apply(event) {
    const type = event.event_type;
    if (type === 'log' && event.task_id === undefined) return { task: null, ended: false };
    const key = event.task_id ?? `untitled ${text(event.payload, 'title')}`;
    let task = this.tasks.get(key);
    if (task === undefined) {
      task = new Task(key, event.task_id ?? '');
      this.tasks.set(key, task);
      this.#makeRoom();
      task.begin(event);
    } else if (type === 'task_started') {
      task.begin(event);
    }
    task.lastAt = Date.parse(event.received_at);
    task.title = text(event.payload, 'title') || task.title || event.task_id || 'Untitled task';
    if (task.state !== 'running') return { task, ended: false }; // events after the end change nothing
    this.#update(task, event);
    const ending = ENDINGS.get(/** @type {any} */ (type));
    if (ending === undefined) return { task, ended: false };
    this.#finish(task, event, ending);
    return { task, ended: true };
  }

  /** @param {Task} task @param {RelayEvent} event */
  #update(task, event) {
    const progress = number(event.payload, 'progress');
    if (progress !== null) task.progress = Math.min(1, Math.max(0, progress));
    const message = text(event.payload, 'message');
    if (message) task.message = message;
  }

  /** @param {Task} task @param {RelayEvent} event @param {TaskState} state */
  #finish(task, event, state) {
    task.state = state;
    task.exitCode = number(event.payload, 'exit_code');
    const counted = (instant(event.ts) - task.startedTs) / 1000;
    const known = counted >= 0 && task.startedSeq !== event.seq; // else the beginning was not reported
    const reported = number(event.payload, 'duration_s');
    task.duration = reported !== null && reported >= 0 ? reported : known ? counted : null;
    task.endedSeq = event.seq;
    task.endedAt = Date.parse(event.received_at);
    if (event.seq <= this.clearedSeq) this.tasks.delete(task.key);
  }

  /** @param {number} seq the stream's last @returns {Task[]} those that were removed */
  clearFinished(seq) {
    this.clearedSeq = seq;
    const gone = [...this.tasks.values()].filter((task) => task.state !== 'running');
    for (const task of gone) this.tasks.delete(task.key);
    return gone;
  }

  #makeRoom() {
    if (this.tasks.size <= MAX_TASKS) return;
    const [oldest] = [...this.tasks.values()].sort(
      (a, b) => Number(a.state === 'running') - Number(b.state === 'running') || a.lastAt - b.lastAt,
    );
    this.tasks.delete(oldest.key);
  }

  /** Running tasks, the newest first; then ended ones, the latest first. @returns {Task[]} */
  ordered() {
    return [...this.tasks.values()].sort(
      (a, b) =>
        Number(b.state === 'running') - Number(a.state === 'running') ||
        b.endedSeq - a.endedSeq ||
        b.startedAt - a.startedAt,
    );
  }
}

/** A field of a payload, which may be any JSON. @param {unknown} payload @param {string} name */
export function field(payload, name) {
  return payload !== null && typeof payload === 'object' && Object.hasOwn(payload, name)
    ? /** @type {Record<string, unknown>} */ (payload)[name]
    : undefined;
}

/** The last line of a text that is not empty. @param {unknown} payload @param {string} name */
export function text(payload, name) {
  const value = field(payload, name);
  if (typeof value !== 'string') return '';
  const lines = plain(value.slice(-4_000)).split(/[\r\n]+/).map((line) => line.trim()).filter(Boolean);
  return (lines.at(-1) ?? '').slice(0, 300);
}

/** @param {unknown} payload @param {string} name */
export function number(payload, name) {
  const value = field(payload, name);
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}
