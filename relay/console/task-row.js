/** One task on the board: a card while it is not over, one line when it is. */

import { plain } from './ansi.js';
import { el, icon, setText } from './dom.js';
import { titleOf } from './task-names.js';
import { STATE_WORDS, elapsed, endedAgo, factsOf, isOver } from './task-words.js';

/** @typedef {import('./relay-stream.d.ts').RelayTask} RelayTask */
/** @typedef {{ item: HTMLLIElement, button: HTMLButtonElement, glyph: HTMLElement, title: HTMLElement, time: HTMLElement, ago: HTMLElement, hide: HTMLButtonElement, message: HTMLElement, bar: HTMLElement, fill: HTMLElement, percent: HTMLElement, facts: HTMLElement, id: string, state: string, y: number, height: number }} TaskRow */

// pixels; board.css has lines of these heights
const LINE = 36;
const MESSAGE = 20;
const CARD = 64;
export const CARD_GAP = 8;

/** Pixels from the top of a task to the top of the next one. @param {RelayTask} task */
export function heightOf(task) {
  if (isOver(task)) return LINE + (task.state === 'failed' && task.message ? MESSAGE : 0);
  return CARD + CARD_GAP + (task.message ? MESSAGE : 0);
}

/** @param {string} id @returns {TaskRow} */
export function newTaskRow(id) {
  const glyph = el('span', { class: 'glyph' });
  const title = el('span', { class: 'title' });
  const time = el('span', { class: 'time' });
  const ago = el('span', { class: 'ago' });
  const message = el('span', { class: 'message' });
  const fill = el('span', { class: 'fill' });
  const bar = el('span', { class: 'bar', role: 'progressbar', 'aria-valuemin': 0, 'aria-valuemax': 100 }, fill);
  const percent = el('span', { class: 'percent' });
  const facts = el('span', { class: 'facts' });
  // the name of the button is the title alone; the rest is read after it, not with it
  const button = el('button', { type: 'button', class: 'pick-task', 'aria-pressed': 'false', tabindex: -1 }, title);
  const hide = el('button', { type: 'button', class: 'hide-task', tabindex: -1 }, icon('close'));
  const item = el('li', { class: 'card' },
    el('div', { class: 'card-head' }, glyph, button, time, ago, hide), message, el('div', { class: 'card-progress' }, bar, percent, facts));
  item.dataset.task = id;
  return { item, button, glyph, title, time, ago, hide, message, bar, fill, percent, facts, id, state: '', y: -1, height: -1 };
}

/** @param {TaskRow} row @param {RelayTask} task @param {number} now ms */
export function fillTaskRow(row, task, now) {
  const { state, progress } = task;
  const over = isOver(task);
  const title = titleOf(task);
  if (row.state !== state) {
    row.state = state;
    row.item.dataset.state = state;
    row.item.classList.toggle('over', over);
    row.glyph.replaceChildren(icon(state), el('span', { class: 'sr', text: `${STATE_WORDS[state]}: ` }));
  }
  setText(row.title, title);
  if (row.title.title !== title) row.title.title = title;
  setText(row.time, elapsed(task, now));
  setText(row.ago, over ? endedAgo(task, now) : '');
  const message = over && state !== 'failed' ? '' : plain(task.message ?? '').trim();
  setText(row.message, message);
  row.message.hidden = message === '';
  row.hide.hidden = !over && state !== 'lost';
  const words = `${task.hidden ? 'Show again' : 'Hide'}: ${title}`;
  if (row.hide.title !== words) {
    row.hide.title = words;
    row.hide.setAttribute('aria-label', words);
  }
  const line = /** @type {HTMLElement} */ (row.bar.parentElement);
  line.hidden = over;
  if (!over) fillProgress(row, task, now);
  row.bar.hidden = row.percent.hidden = state !== 'running' && (state !== 'waiting' || progress === null);
}

/** @param {TaskRow} row @param {RelayTask} task @param {number} now */
function fillProgress(row, task, now) {
  const { progress } = task;
  setText(row.facts, factsOf(task, now));
  row.bar.classList.toggle('unknown', progress === null);
  row.bar.setAttribute('aria-label', `Progress of ${row.title.textContent}`);
  if (progress === null) {
    row.bar.removeAttribute('aria-valuenow');
    setText(row.percent, '');
    return;
  }
  const percent = String(Math.floor(progress * 100));
  if (row.bar.getAttribute('aria-valuenow') !== percent) row.bar.setAttribute('aria-valuenow', percent);
  row.fill.style.transform = `scaleX(${progress})`;
  setText(row.percent, `${percent} %`);
}
