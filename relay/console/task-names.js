/** Which task an event belongs to, and what that task is called. Pure. */

import { plain } from './ansi.js';
import { field } from './payload.js';
import { sha256 } from './sha256.js';

/** @typedef {import('./relay-stream.d.ts').RelayEvent} RelayEvent */

const MAX_NAMES = 10_000; // as many as a server keeps tasks of a user
const UNTITLED = 'untitled-'; // begins the id of a task whose events have none
const MAX_UNTITLED_TITLES = 500; // that are kept with their ids
const LONE_SURROGATE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
const HUES = 6;
const WITHOUT_A_TASK = new Set(['log', 'task_waiting', 'task_answered']);

/** @type {Map<string, string>} */
const untitledIds = new Map();

/** The id of the event's task, as the server gives it; '' for a log line or an ask of no task. @param {RelayEvent} event */
export function taskIdOf({ event_type: type, task_id: id, payload }) {
  if (id !== undefined) return id;
  return WITHOUT_A_TASK.has(type) ? '' : untitledId(textOf(payload, 'title'));
}

/** @param {string} title */
function untitledId(title) {
  let id = untitledIds.get(title);
  if (id === undefined) {
    id = UNTITLED + sha256(title.replace(LONE_SURROGATE, '?')).slice(0, 16);
    if (untitledIds.size >= MAX_UNTITLED_TITLES) untitledIds.clear();
    untitledIds.set(title, id);
  }
  return id;
}

/** @param {unknown} payload @param {string} name */
function textOf(payload, name) {
  const value = field(payload, name);
  return typeof value === 'string' ? value : '';
}

/** A title on one line; the id of a task that has none. @param {{ task_id: string, title: string | null }} task */
export function titleOf({ task_id: id, title }) {
  const shown = oneLine(title ?? '');
  return shown || (id.startsWith(UNTITLED) ? 'Untitled task' : id);
}

/** @param {string} text */
const oneLine = (text) => plain(text.slice(0, 300).replace(/\s+/g, ' ')).trim();

/** The number of a task's colour. @param {string} id */
export function hueOf(id) {
  return [...id].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) >>> 0, 7) % HUES;
}

/** The titles of tasks, for the lines of the log: an event may be here before its task is. */
export class TaskNames {
  /** @type {Map<string, string>} */ #names = new Map();

  /** @param {{ task_id: string, title: string | null }} task */
  learn(task) {
    this.#names.delete(task.task_id);
    this.#names.set(task.task_id, titleOf(task));
    if (this.#names.size > MAX_NAMES) this.#names.delete(`${this.#names.keys().next().value}`);
  }

  /** The title of an event's task, '' without a task. @param {RelayEvent} event @param {string} id */
  of(event, id) {
    if (id === '') return '';
    const title = textOf(event.payload, 'title');
    if (oneLine(title) !== '') this.learn({ task_id: id, title });
    return this.get(id);
  }

  /** The title of a task, its id while no title is known. @param {string} id */
  get(id) {
    return this.#names.get(id) ?? titleOf({ task_id: id, title: null });
  }
}
