/** The words of the board for a task, and in which order it shows tasks. Pure: no document, no clock. */

import { ago, duration, left } from './times.js';
import { isLate, usualWords } from './usual-times.js';

/** @typedef {import('./relay-stream.d.ts').RelayTask} RelayTask */
/** @typedef {import('./relay-stream.d.ts').TaskState} TaskState */

/** @type {Record<TaskState, string>} */
export const STATE_WORDS = {
  waiting: 'Needs you', running: 'Running', lost: 'Lost contact',
  succeeded: 'Succeeded', failed: 'Failed', canceled: 'Canceled',
};
/** @type {Record<TaskState, number>} */
const RANKS = { waiting: 0, running: 1, lost: 2, succeeded: 3, failed: 3, canceled: 3 };
const NO_ESTIMATE_AFTER_MS = 20_000; // without news of the task
const SILENT_AFTER_MS = 120_000; // without news, until that is shown

/** @param {RelayTask} task */
export const isOver = ({ state }) => RANKS[state] === 3;

/** Which need a person come first, then what runs, then what was lost; then what is over, the latest first. @param {RelayTask} a @param {RelayTask} b */
export function inOrder(a, b) {
  const rank = RANKS[a.state] - RANKS[b.state];
  if (rank !== 0) return rank;
  return RANKS[a.state] < 2 ? b.first_seq - a.first_seq : b.last_seq - a.last_seq;
}

/** How long it has run, or took. @param {RelayTask} task @param {number} now ms */
export function elapsed(task, now) {
  if (isOver(task)) return task.duration_s === null ? '' : duration(task.duration_s, false);
  if (task.state === 'lost') return '';
  return duration(Math.max(0, now - Date.parse(task.started_at)) / 1000, true);
}

/** @param {RelayTask} task @param {number} now ms */
export const endedAgo = (task, now) => ago((now - Date.parse(task.ended_at ?? task.last_at)) / 1000);

/** What is known of a task that is not over, besides its message. @param {RelayTask} task @param {number} now ms @param {number | null} usual seconds that such tasks take */
export function factsOf(task, now, usual = null) {
  const silent = Math.max(0, now - Date.parse(task.last_at));
  const heard = task.state === 'lost' ? `last heard from ${ago(silent / 1000)}` : silent > SILENT_AFTER_MS ? `silent for ${duration(silent / 1000, true)}` : '';
  const guess = task.state === 'running' && silent <= NO_ESTIMATE_AFTER_MS ? left(task, now) : '';
  return [
    task.state === 'running' ? '' : STATE_WORDS[task.state],
    heard || (isLate(usual, task, now) ? '' : guess) || (task.state === 'running' ? usualWords(usual, task, now) : ''),
    task.run > 1 ? `run ${task.run}` : '',
  ].filter(Boolean).join(' · ');
}

/** Why there are no tasks to show. @param {string} state of the stream's list @param {boolean} failed whether older ones could not be read @param {{ filter: string, query: string, hidden: boolean }} view */
export function noTasksWords(state, failed, { filter, query, hidden }) {
  if (state === 'waiting') return 'Reading your tasks …';
  if (state === 'missing') return 'This Relay has sent no tasks. Its log is beside.';
  if (failed) return 'The tasks could not be read.';
  if (query) return `No ${hidden ? 'hidden ' : ''}task has “${query}” in its title.`;
  if (hidden) return 'No task is hidden.';
  return filter === 'all' ? 'No tasks to show. The next one appears here when it starts.' : 'No task is in this state.';
}
