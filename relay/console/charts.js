/** Small charts of a task's numbers: with all that is known in its head, with the last value on its card. */

import { el, setText } from './dom.js';
import { exactText, numberText } from './number-text.js';

/** @typedef {import('./metric-history.js').Series} Series */

const [WIDTH, HEIGHT, EDGE] = [160, 36, 2]; // of the view box
const CARD_POINTS = 80; // of a chart on a card, which is that many pixels wide
const SVG = 'http://www.w3.org/2000/svg';

/** Draws a chart for each series, in the order they are given. @param {HTMLElement} place @param {Series[]} all */
export function drawCharts(place, all) {
  draw(place, all, newChart, (chart, series) => {
    const { name, points, least, most, last } = series;
    const [label, value] = chart.querySelectorAll('.chart-name, strong');
    setText(label, name);
    setText(value, numberText(last));
    setTitle(/** @type {HTMLElement} */ (chart.firstElementChild), series);
    setText(/** @type {Element} */ (chart.querySelector('.chart-range')), `${numberText(least)} to ${numberText(most)}`);
    setPath(chart, points, least, most);
  });
}

/** Draws the last value of each series, and its course. @param {HTMLElement} place @param {Series[]} all */
export function drawNumbers(place, all) {
  draw(place, all, newNumber, (number, series) => {
    const { name, points, least, most, last } = series;
    const [label, value] = number.children;
    setText(label, name);
    setText(value, numberText(last));
    setTitle(number, series);
    setPath(number, thinned(points), least, most);
  });
}

/** @param {HTMLElement} place @param {Series[]} all @param {() => HTMLElement} make @param {(chart: HTMLElement, series: Series) => void} fill */
function draw(place, all, make, fill) {
  while (place.children.length > all.length) place.lastElementChild?.remove();
  while (place.children.length < all.length) place.append(make());
  all.forEach((series, at) => fill(/** @type {HTMLElement} */ (place.children[at]), series));
  place.hidden = all.length === 0;
}

function newChart() {
  return el('figure', { class: 'chart' }, el('figcaption', {}, el('bdi', { class: 'chart-name' }), el('strong')), newLine(), el('span', { class: 'chart-range' }));
}

const newNumber = () => el('span', { class: 'number' }, el('bdi'), el('strong'), newLine());

function newLine() {
  const svg = document.createElementNS(SVG, 'svg');
  for (const [name, value] of Object.entries({ viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' })) svg.setAttribute(name, value);
  svg.append(document.createElementNS(SVG, 'path'));
  return svg;
}

/** At most as many points as a card shows, the last one among them. @param {Series['points']} points */
function thinned(points) {
  const step = Math.ceil(points.length / CARD_POINTS);
  return step === 1 ? points : points.filter((_, index) => (points.length - 1 - index) % step === 0);
}

/** All digits of a series' numbers. @param {HTMLElement} element @param {Series} series */
function setTitle(element, { name, least, most, last }) {
  const words = `${name}: ${exactText(last)} (${exactText(least)} to ${exactText(most)})`;
  if (element.title !== words) element.title = words;
}

/** @param {Element} chart @param {Series['points']} points @param {number} least @param {number} most */
function setPath(chart, points, least, most) {
  const path = pathOf(points, least, most);
  const line = chart.querySelector('path');
  if (line?.getAttribute('d') !== path) line?.setAttribute('d', path);
}

/** The line through all points, for `d` of a path. @param {Series['points']} points @param {number} least @param {number} most */
export function pathOf(points, least, most) {
  const [from, span] = [points[0].at, points[points.length - 1].at - points[0].at];
  const part = Number.isFinite(most - least) ? 1 : 0.5; // of each value, so that a difference is finite, too
  return points.map(({ at, value: y }, index) => {
    const across = span > 0 ? (at - from) / span : index / (points.length - 1);
    const up = most > least ? (y * part - least * part) / (most * part - least * part) : 0.5;
    return `${index === 0 ? 'M' : 'L'}${(across * WIDTH).toFixed(1)} ${(HEIGHT - EDGE - up * (HEIGHT - 2 * EDGE)).toFixed(1)}`;
  }).join('');
}
