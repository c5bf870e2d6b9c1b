/** One task on the board: a card while it is not over, one line when it is. */

import { plain } from './ansi.js';
import { drawNumbers } from './charts.js';
import { isCommand } from './command-titles.js';
import { el, icon, setText } from './dom.js';
import { percentText } from './number-text.js';
import { fillStrip, newStrip } from './run-strip.js';
import { titleOf } from './task-names.js';
import { STATE_WORDS, elapsed, endedAgo, factsOf, isOver } from './task-words.js';
import { usualTime, usualWords } from './usual-times.js';

/** @typedef {import('./relay-stream.d.ts').RelayTask} RelayTask */
/** @typedef {import('./metric-history.js').Series} Series */
/** @typedef {import('./api.js').TaskGroup} TaskGroup */
/** @typedef {{ hasNumbers: (task: RelayTask) => boolean, numbersOf: (task: RelayTask) => Series[], usualOf: (task: RelayTask) => number | null, groupOf: (task: RelayTask) => TaskGroup | undefined }} Sources what is known of a task besides itself */
/** @typedef {{ item: HTMLLIElement, button: HTMLButtonElement, glyph: HTMLElement, title: HTMLElement, time: HTMLElement, ago: HTMLElement, hide: HTMLButtonElement, message: HTMLElement, bar: HTMLElement, fill: HTMLElement, percent: HTMLElement, facts: HTMLElement, numbers: HTMLElement, runs: HTMLElement, open: HTMLButtonElement, strip: Element, usual: HTMLElement, id: string, state: string, y: number, height: number }} TaskRow */

// pixels; board.css has lines of these heights
const LINE = matchMedia('(pointer: coarse)').matches ? 46 : 36; // for a finger, which needs 44 within the border
const MESSAGE = 20;
const CARD = 64;
const NUMBERS = 22;
const RUNS = 24;
export const CARD_GAP = 8;

/** Pixels from the top of a task to the top of the next one. @param {RelayTask} task @param {Sources} sources */
export function heightOf(task, sources) {
  const group = sources.groupOf(task) ? RUNS : 0;
  const message = messageOf(task) === '' ? 0 : MESSAGE;
  if (isOver(task)) return LINE + group + message;
  return CARD + CARD_GAP + group + message + (sources.hasNumbers(task) ? NUMBERS : 0);
}

/** The message that is shown: of what is over, that of a failure. @param {RelayTask} task */
const messageOf = (task) => (isOver(task) && task.state !== 'failed' ? '' : plain(task.message ?? '').trim());

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
  const numbers = el('div', { class: 'numbers', hidden: true });
  const open = el('button', { type: 'button', class: 'text open-group', tabindex: -1 });
  const strip = newStrip();
  const usual = el('span', { class: 'usual' });
  const runs = el('div', { class: 'runs', hidden: true }, open, strip, usual);
  const item = el('li', { class: 'card' },
    el('div', { class: 'card-head' }, glyph, button, time, ago, hide), message, numbers, el('div', { class: 'card-progress' }, bar, percent, facts), runs);
  item.dataset.task = id;
  return { item, button, glyph, title, time, ago, hide, message, bar, fill, percent, facts, numbers, runs, open, strip, usual, id, state: '', y: -1, height: -1 };
}

/** @param {TaskRow} row @param {RelayTask} task @param {number} now ms @param {Sources} sources */
export function fillTaskRow(row, task, now, sources) {
  const { state, progress } = task;
  const over = isOver(task);
  const title = titleOf(task);
  if (row.state !== state) {
    row.state = state;
    row.item.dataset.state = state;
    row.item.classList.toggle('over', over);
    row.glyph.replaceChildren(icon(state), el('span', { class: 'sr', text: `${STATE_WORDS[state]}: ` }));
  }
  if (row.title.title !== title) {
    setText(row.title, title);
    row.title.title = title;
    row.title.classList.toggle('command', isCommand(title));
  }
  setText(row.time, elapsed(task, now));
  setText(row.ago, over ? endedAgo(task, now) : '');
  const message = messageOf(task);
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
  drawNumbers(row.numbers, !over && sources.hasNumbers(task) ? sources.numbersOf(task) : []);
  const group = sources.groupOf(task);
  if (!over) fillProgress(row, task, now, group ? null : sources.usualOf(task));
  fillRuns(row, task, now, group);
  row.bar.hidden = row.percent.hidden = state !== 'running' && (state !== 'waiting' || progress === null);
}

/** The group that a task stands for. @param {TaskRow} row @param {RelayTask} task @param {number} now @param {TaskGroup | undefined} group */
function fillRuns(row, task, now, group) {
  row.runs.hidden = group === undefined;
  if (group === undefined) return;
  setText(row.open, `${group.tasks.toLocaleString()} ${group.title === null ? 'tasks' : 'runs'}`);
  fillStrip(row.strip, group.recent);
  setText(row.usual, usualWords(usualTime(group.recent), task, now));
}

/** @param {TaskRow} row @param {RelayTask} task @param {number} now @param {number | null} usual seconds */
function fillProgress(row, task, now, usual) {
  const { progress } = task;
  setText(row.facts, factsOf(task, now, usual));
  row.bar.classList.toggle('unknown', progress === null);
  row.bar.setAttribute('aria-label', `Progress of ${row.title.textContent}`);
  if (progress === null) {
    row.bar.removeAttribute('aria-valuenow');
    setText(row.percent, '');
    return;
  }
  const percent = percentText(progress);
  if (row.bar.getAttribute('aria-valuenow') !== percent) row.bar.setAttribute('aria-valuenow', percent);
  row.fill.style.transform = `scaleX(${progress})`;
  setText(row.percent, `${percent} %`);
}
