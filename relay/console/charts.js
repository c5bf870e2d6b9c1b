/** Small charts of a task's numbers. */

import { el, setText } from './dom.js';

/** @typedef {import('./metric-history.js').Series} Series */

const [WIDTH, HEIGHT, EDGE] = [160, 36, 2]; // of the view box
const SVG = 'http://www.w3.org/2000/svg';

/** Draws a chart for each series, in the order they are given. @param {HTMLElement} place @param {Series[]} all */
export function drawCharts(place, all) {
  while (place.children.length > all.length) place.lastElementChild?.remove();
  while (place.children.length < all.length) place.append(newChart());
  all.forEach((series, at) => fillChart(place.children[at], series));
  place.hidden = all.length === 0;
}

function newChart() {
  const svg = document.createElementNS(SVG, 'svg');
  for (const [name, value] of Object.entries({ viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' })) svg.setAttribute(name, value);
  svg.append(document.createElementNS(SVG, 'path'));
  return el('figure', { class: 'chart' }, el('figcaption', {}, el('bdi', { class: 'chart-name' }), el('strong')), svg, el('span', { class: 'chart-range' }));
}

/** @param {Element} chart @param {Series} series */
function fillChart(chart, { name, points, least, most, last }) {
  const [label, value] = chart.querySelectorAll('.chart-name, strong');
  setText(label, name);
  setText(value, short(last));
  setText(/** @type {Element} */ (chart.querySelector('.chart-range')), `${short(least)} to ${short(most)}`);
  const [from, span] = [points[0].at, points[points.length - 1].at - points[0].at];
  const path = points.map(({ at, value: y }, index) => {
    const across = span > 0 ? (at - from) / span : index / (points.length - 1);
    const up = most > least ? (y - least) / (most - least) : 0.5;
    return `${index === 0 ? 'M' : 'L'}${(across * WIDTH).toFixed(1)} ${(HEIGHT - EDGE - up * (HEIGHT - 2 * EDGE)).toFixed(1)}`;
  }).join('');
  const line = chart.querySelector('path');
  if (line?.getAttribute('d') !== path) line?.setAttribute('d', path);
}

/** @param {number} value */
export function short(value) {
  return String(Number(value.toPrecision(4)));
}
