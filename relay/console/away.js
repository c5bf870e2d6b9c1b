/** Whether lost tasks fell silent together: then it is their machine that is away, and that is one thing to know. Pure. */

/** @typedef {import('./relay-stream.d.ts').RelayTask} RelayTask */

const BEAT_MS = 30_000; // the tasks of a machine beat at different moments, each at least this often

/**
 * The tasks of the latest moment at which two or more fell silent; none if each was alone.
 * @param {Iterable<RelayTask>} tasks @returns {{ at: number, tasks: RelayTask[] } | null} `at` in ms
 */
export function silentTogether(tasks) {
  const lost = [];
  for (const task of tasks) if (task.lost_at) lost.push({ at: Date.parse(task.lost_at), task });
  lost.sort((a, b) => b.at - a.at);
  for (const [first, { at }] of lost.entries()) {
    const together = lost.slice(first).filter((other) => at - other.at <= BEAT_MS);
    if (together.length > 1) return { at: together[together.length - 1].at, tasks: together.map(({ task }) => task) };
  }
  return null;
}
