/** The numbers that tasks have reported, over time, for charts. Pure. */

import { field } from './payload.js';

/** @typedef {import('./relay-stream.d.ts').RelayEvent} RelayEvent */
/** @typedef {{ seq: number, at: number, value: number }} Point `at` in ms */
/** @typedef {{ name: string, points: Point[], least: number, most: number, last: number }} Series */

const MOST_POINTS = 600; // of one number; then every second one is dropped
const MOST_TASKS = 50; // those that reported last
const MOST_SERIES = 32; // of a task: as many as the server keeps

export class MetricHistory {
  /** @type {Map<string, Map<string, Point[]>>} */ #tasks = new Map();

  /** @param {RelayEvent} event @param {string} id of its task */
  add(event, id) {
    const metrics = id === '' || event.event_type === 'log' ? undefined : field(event.payload, 'metrics');
    if (metrics === null || typeof metrics !== 'object' || Array.isArray(metrics)) return;
    const series = this.#tasks.get(id) ?? new Map();
    this.#tasks.delete(id);
    this.#tasks.set(id, series);
    if (this.#tasks.size > MOST_TASKS) this.#tasks.delete(`${this.#tasks.keys().next().value}`);
    for (const [name, value] of Object.entries(/** @type {object} */ (metrics))) {
      if (!Number.isFinite(value) || (!series.has(name) && series.size >= MOST_SERIES)) continue;
      series.set(name, withPoint(series.get(name) ?? [], { seq: event.seq, at: Date.parse(event.received_at), value }));
    }
  }

  /** Forgets all of them. */
  clear() {
    this.#tasks.clear();
  }

  /** Whether a number of a task has a course: two values or more, since a seq. @param {string} id @param {number} since */
  hasCourse(id, since) {
    for (const points of this.#tasks.get(id)?.values() ?? []) if (points.length > 1 && points[points.length - 2].seq >= since) return true;
    return false;
  }

  /** What has a course. @param {string} id @param {number} since @param {number} most numbers @returns {Series[]} */
  of(id, since, most = MOST_SERIES) {
    const found = [];
    for (const [name, all] of this.#tasks.get(id) ?? []) {
      const points = all.filter(({ seq }) => seq >= since);
      if (points.length < 2) continue;
      const values = points.map(({ value }) => value);
      found.push({ name, points, least: Math.min(...values), most: Math.max(...values), last: values[values.length - 1] });
      if (found.length === most) break;
    }
    return found;
  }
}

/** Earlier events may come later: a point goes to its place. @param {Point[]} points @param {Point} point */
function withPoint(points, point) {
  let at = points.length;
  while (at > 0 && points[at - 1].seq > point.seq) at -= 1;
  if (points[at - 1]?.seq === point.seq) return points;
  points.splice(at, 0, point);
  return points.length <= MOST_POINTS ? points : points.filter((_, index) => index % 2 === points.length % 2 || index === points.length - 1);
}
