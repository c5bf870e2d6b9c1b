/** The latest outcomes of a group of tasks as a strip of bars: how each ended, and how long it took. */

import { STATE_WORDS } from './task-words.js';

/** @typedef {import('./api.js').TaskOutcome} TaskOutcome */

const SVG = 'http://www.w3.org/2000/svg';
const [STEP, HEIGHT, LEAST] = [6, 18, 4];

export function newStrip() {
  const strip = document.createElementNS(SVG, 'svg');
  for (const [name, value] of Object.entries({ class: 'strip', height: String(HEIGHT), role: 'img' })) strip.setAttribute(name, value);
  return strip;
}

/** @param {Element} strip @param {TaskOutcome[]} recent the latest first */
export function fillStrip(strip, recent) {
  const key = recent.map(({ state, duration_s: took }) => `${state} ${took}`).join();
  if (strip.getAttribute('data-of') === key) return;
  strip.setAttribute('data-of', key);
  const width = recent.length * STEP;
  strip.setAttribute('width', String(width));
  strip.setAttribute('viewBox', `0 0 ${width} ${HEIGHT}`);
  const longest = Math.max(...recent.map(({ duration_s: took }) => took ?? 0));
  /** @type {Map<TaskOutcome['state'], string>} */
  const bars = new Map();
  recent.forEach(({ state, duration_s: took }, at) => {
    const height = took === null || longest === 0 ? LEAST : LEAST + (took / longest) * (HEIGHT - LEAST);
    bars.set(state, `${bars.get(state) ?? ''}M${width - (at + 0.5) * STEP} ${HEIGHT}v${-height.toFixed(1)}`);
  });
  strip.setAttribute('aria-label', `The last ${recent.length}: ${[...bars].map(([state, path]) => `${path.split('M').length - 1} ${STATE_WORDS[state].toLowerCase()}`).join(', ')}`);
  strip.replaceChildren(...[...bars].map(([state, path]) => {
    const bar = document.createElementNS(SVG, 'path');
    bar.setAttribute('class', `is-${state}`);
    bar.setAttribute('d', path);
    return bar;
  }));
}
