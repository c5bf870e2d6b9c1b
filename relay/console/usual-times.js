/** How long tasks of a title usually take, and the words for it. Pure. */

import { duration } from './times.js';

/** @typedef {import('./relay-stream.d.ts').RelayTask} RelayTask */
/** @typedef {{ state: string, duration_s: number | null }} Outcome */

const FEWEST = 3; // successes, before "usually" means anything
const LATE = 1.5; // times the usual time

/** The median time of those that succeeded, in seconds; null while there are too few. @param {Outcome[]} outcomes */
export function usualTime(outcomes) {
  const times = outcomes.flatMap(({ state, duration_s: took }) => (state === 'succeeded' && took !== null ? [took] : []));
  return times.length < FEWEST ? null : times.sort((a, b) => a - b)[times.length >> 1];
}

/** Whether a task takes much longer than usual. @param {number | null} usual seconds @param {RelayTask} task @param {number} now ms */
export const isLate = (usual, task, now) => usual !== null && task.state === 'running' && secondsOf(task, now) > usual * LATE;

/** "usually 4:00", and how long it is by now once that is much more. @param {number | null} usual seconds @param {RelayTask} task @param {number} now ms */
export function usualWords(usual, task, now) {
  if (usual === null) return '';
  return `usually ${duration(usual, false)}${isLate(usual, task, now) ? `, now ${duration(secondsOf(task, now), true)}` : ''}`;
}

/** @param {RelayTask} task @param {number} now ms */
const secondsOf = ({ started_at: startedAt }, now) => (now - Date.parse(startedAt)) / 1000;

/** The usual times of the tasks of a list, by their titles. */
export class UsualTimes {
  #tasks;
  /** @type {Map<string, Outcome[]> | null} */ #outcomes = null; // null: tasks have ended since

  /** @param {{ values: () => Iterable<RelayTask> }} tasks */
  constructor(tasks) {
    this.#tasks = tasks;
  }

  /** A task has ended. */
  renew() {
    this.#outcomes = null;
  }

  /** In seconds; null if that is not known. @param {RelayTask} task */
  of({ title }) {
    if (title === null) return null;
    this.#outcomes ??= this.#read();
    return usualTime(this.#outcomes.get(title) ?? []);
  }

  #read() {
    /** @type {Map<string, Outcome[]>} */
    const found = new Map();
    for (const task of this.#tasks.values()) {
      if (task.state !== 'succeeded' || task.title === null) continue;
      const known = found.get(task.title);
      if (known) known.push(task);
      else found.set(task.title, [task]);
    }
    return found;
  }
}
