/** Which time the charts of a task show: all of it, or a part that is chosen by dragging, or by keys. */

import { byId, el, setText } from './dom.js';
import { hasModifier } from './keys.js';

/** @typedef {import('./metric-history.js').Series} Series */
/** @typedef {import('./metric-history.js').Point} Point */
/** @typedef {{ from: number, to: number }} Span of time, ms */

const LEAST_DRAG = 6; // px; less is a press
const AT_END = 0.98; // of the width: a part that reaches this far moves on with new values
const SHORTEST_MS = 1_000;
const clock = new Intl.DateTimeFormat([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });

/** The part of a series in a span, with values at its edges; the last value stays that of all. @param {Series} series @param {Span} span @returns {Series} */
export function partOf(series, { from, to }) {
  const { points } = series;
  const inside = points.filter(({ at }) => at >= from && at <= to);
  const part = [...edge(points, from), ...inside, ...edge(points, to)];
  const values = part.map(({ value }) => value);
  if (part.length < 2) return series;
  return { ...series, points: part, least: Math.min(...values), most: Math.max(...values) };
}

/** The value on the way from a point to the next one. @param {Point[]} points in order @param {number} at @returns {Point[]} none where a point is, or beyond all */
function edge(points, at) {
  const next = points.findIndex((point) => point.at >= at);
  if (next < 1 || points[next].at === at) return [];
  const [a, b] = [points[next - 1], points[next]];
  const way = (at - a.at) / (b.at - a.at);
  return [{ seq: a.seq, at, value: a.value * (1 - way) + b.value * way }]; // b.value - a.value may be infinite
}

/** A span that is no longer than all there is, and inside of it. @param {Span} wanted @param {Span} all @returns {Span} */
export function inside({ from, to }, all) {
  const length = Math.min(all.to - all.from, Math.max(SHORTEST_MS, to - from));
  const begin = Math.min(Math.max(from, all.from), all.to - length);
  return { from: begin, to: begin + length };
}

export class ChartZoom {
  #place = byId('head-charts');
  #bar = byId('head-zoom');
  #words = el('span');
  /** @type {Span | null} */ #part = null;
  #live = false; // the part moves on with new values
  /** @type {Span} */ #all = { from: 0, to: 0 };
  #changed;
  #mark = el('span', { class: 'chart-mark', hidden: true });

  /** @param {() => void} changed */
  constructor(changed) {
    this.#changed = changed;
    this.#bar.append(this.#words, el('button', { type: 'button', class: 'text', text: 'Show all of it', onclick: () => this.#show(null) }));
    this.#place.addEventListener('keydown', (event) => this.#keyed(event));
    this.#place.addEventListener('pointerdown', (event) => this.#dragged(event));
  }

  /** Shows all, of another task. */
  reset() {
    this.#part = null;
  }

  /** What is to be drawn. @param {Series[]} series @returns {Series[]} */
  of(series) {
    const ends = series.flatMap(({ points }) => [points[0].at, points[points.length - 1].at]);
    this.#all = { from: Math.min(...ends), to: Math.max(...ends) };
    const part = this.#shown();
    const zoomed = this.#part !== null && series.length > 0;
    this.#bar.hidden = !zoomed;
    if (!zoomed) return series;
    setText(this.#words, `${clock.format(part.from)} to ${clock.format(part.to)}`);
    return series.map((one) => partOf(one, part));
  }

  /** @returns {Span} */
  #shown() {
    if (this.#part === null) return this.#all;
    const length = this.#part.to - this.#part.from;
    return inside(this.#live ? { from: this.#all.to - length, to: this.#all.to } : this.#part, this.#all);
  }

  /** @param {Span | null} wanted null: all */
  #show(wanted) {
    const part = wanted && inside(wanted, this.#all);
    const isAll = part === null || part.to - part.from >= this.#all.to - this.#all.from;
    this.#part = isAll ? null : part;
    this.#live = part !== null && part.to >= this.#all.to;
    this.#changed();
  }

  /** @param {KeyboardEvent} event */
  #keyed(event) {
    if (hasModifier(event)) return;
    const { from, to } = this.#shown();
    const length = to - from;
    if (event.key === '+' || event.key === '=') this.#show({ from: to - length / 2, to });
    else if (event.key === '-') this.#show({ from: to - length * 2, to });
    else if (event.key === 'ArrowLeft') this.#show({ from: from - length / 4, to: to - length / 4 });
    else if (event.key === 'ArrowRight') this.#show({ from: from + length / 4, to: to + length / 4 });
    else if ((event.key === 'Escape' || event.key === '0') && this.#part !== null) this.#show(null);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** @param {PointerEvent} down */
  #dragged(down) {
    const svg = /** @type {Element} */ (down.target).closest('svg');
    const chart = /** @type {HTMLElement | null | undefined} */ (svg?.closest('.chart'));
    if (!svg || !chart || down.button !== 0) return;
    const { left, width } = svg.getBoundingClientRect();
    const at = (/** @type {PointerEvent} */ { clientX }) => Math.min(1, Math.max(0, (clientX - left) / width));
    const shown = this.#shown();
    const begin = at(down);
    const follow = new AbortController();
    const move = (/** @type {PointerEvent} */ event) => {
      const [from, to] = [Math.min(begin, at(event)), Math.max(begin, at(event))];
      this.#mark.hidden = (to - from) * width < LEAST_DRAG;
      Object.assign(this.#mark.style, { left: `${from * 100}%`, width: `${(to - from) * 100}%` });
      return { from, to };
    };
    const end = (/** @type {PointerEvent} */ event) => {
      follow.abort();
      const { from, to } = move(event);
      const chosen = !this.#mark.hidden && event.type === 'pointerup';
      this.#mark.hidden = true;
      const length = shown.to - shown.from;
      if (chosen) this.#show({ from: shown.from + from * length, to: to >= AT_END ? shown.to : shown.from + to * length });
    };
    chart.append(this.#mark);
    svg.setPointerCapture(down.pointerId);
    for (const [name, act] of /** @type {const} */ ([['pointermove', move], ['pointerup', end], ['pointercancel', end]])) {
      svg.addEventListener(name, act, { signal: follow.signal });
    }
    down.preventDefault();
  }
}
