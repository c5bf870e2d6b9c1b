/** The list of tasks on screen: only those in sight are in the document, however many there are. One Tab stop; keys go through it. */

import { byId } from './dom.js';
import { hasModifier } from './keys.js';
import { CARD_GAP, fillTaskRow, heightOf, newTaskRow } from './task-row.js';
import { isOver } from './task-words.js';

/** @typedef {import('./relay-stream.d.ts').RelayTask} RelayTask */
/** @typedef {import('./task-row.js').TaskRow} TaskRow */
/** @typedef {import('./task-row.js').Sources} Sources */
/** @typedef {{ pick: (id: string | null) => void, hide: (task: RelayTask) => void, nearEnd: () => void, open: (task: RelayTask) => void, close: () => void }} Actions `open` and `close` a group */

const OVERSCAN_PX = 400; // beyond each edge, so that fast scrolling shows no empty space
const NEAR_END_PX = 600; // from the end of the list, where older tasks are read
/** @type {Record<string, number>} */
const STEPS = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };

export class TaskRows {
  #scroller = byId('tasks-scroll');
  #list = byId('cards');
  #actions;
  #sources;
  /** @type {RelayTask[]} */ #tasks = [];
  /** @type {number[]} */ #tops = [0]; // of each task, and the end of the last one
  /** @type {Map<string, TaskRow>} */ #rows = new Map();
  /** @type {string | null} */ #selected = null;
  #current = ''; // the task that Tab leads to
  #now = 0;

  /** @param {Actions} actions @param {Sources} sources */
  constructor(actions, sources) {
    this.#actions = actions;
    this.#sources = sources;
    this.#scroller.addEventListener('scroll', () => this.#place(), { passive: true });
    new ResizeObserver(() => this.#place()).observe(this.#scroller);
    this.#list.addEventListener('keydown', (event) => this.#keyed(event));
    this.#list.addEventListener('focusin', ({ target }) => this.#focused(/** @type {HTMLElement} */ (target)));
    this.#list.addEventListener('click', ({ target }) => this.#clicked(/** @type {HTMLElement} */ (target)));
  }

  /** @param {RelayTask[]} tasks in order @param {number} now ms */
  draw(tasks, now) {
    const focused = this.#list.contains(document.activeElement) ? this.#indexOf(this.#current) : -1;
    this.#tasks = tasks;
    this.#now = now;
    this.#tops = [0];
    for (const [at, task] of tasks.entries()) this.#tops.push(this.#tops[at] + heightOf(task, this.#sources));
    const gone = this.#indexOf(this.#current) < 0;
    if (gone) this.#current = tasks[Math.min(focused, tasks.length - 1)]?.task_id ?? this.#selected ?? '';
    const height = `${this.#tops[tasks.length]}px`;
    if (this.#list.style.height !== height) this.#list.style.height = height;
    this.#list.hidden = tasks.length === 0;
    this.#place();
    if (gone && focused >= 0) this.focus(); // the task that had the focus went away
  }

  /** @param {string | null} id */
  select(id) {
    this.#selected = id;
    if (id !== null) this.#current = id;
    for (const [each, row] of this.#rows) row.button.setAttribute('aria-pressed', String(each === id));
    this.#place();
  }

  /** Scrolls so that a task is in sight, if it is on the board. @param {string} id */
  reveal(id) {
    const at = this.#tasks.findIndex((task) => task.task_id === id);
    if (at >= 0) this.#scrollTo(at);
  }

  /** @param {string} [id] the task to go to; '' for the first, and if it is not there */
  focus(id) {
    if (id !== undefined) this.#current = id;
    if (this.#tasks.length > 0) this.#step(0);
  }

  // ── what is in sight ────────────────────────────────────────────────────────────────────────

  #place() {
    const { scrollTop, clientHeight } = this.#scroller;
    const shown = this.#shown(scrollTop - OVERSCAN_PX, scrollTop + clientHeight + OVERSCAN_PX);
    const ids = new Set(shown.map((at) => this.#tasks[at].task_id));
    for (const [id, row] of this.#rows) {
      if (ids.has(id)) continue;
      row.item.remove();
      this.#rows.delete(id);
    }
    const stop = this.#stop();
    shown.forEach((at, index) => this.#placeRow(at, index, stop));
    const end = this.#tops[this.#tasks.length];
    if (clientHeight > 0 && end - scrollTop - clientHeight < NEAR_END_PX) this.#actions.nearEnd();
  }

  /** The indexes of the tasks between two heights, and of the one that has the focus. @param {number} from @param {number} to */
  #shown(from, to) {
    const first = Math.max(0, this.#indexAt(from));
    const shown = [];
    for (let at = first; at < this.#tasks.length && this.#tops[at] < to; at += 1) shown.push(at);
    const focused = this.#list.contains(document.activeElement) ? this.#indexOf(this.#current) : -1;
    if (focused >= 0 && !shown.includes(focused)) shown.push(focused);
    return shown.sort((a, b) => a - b);
  }

  /** @param {number} height */
  #indexAt(height) {
    let [low, high] = [0, this.#tasks.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#tops[middle + 1] > height) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** @param {number} at @param {number} index among the rows @param {string} stop */
  #placeRow(at, index, stop) {
    const task = this.#tasks[at];
    const { task_id: id } = task;
    let row = this.#rows.get(id);
    if (row === undefined) {
      row = newTaskRow(id);
      this.#rows.set(id, row);
      row.button.setAttribute('aria-pressed', String(id === this.#selected));
    }
    fillTaskRow(row, task, this.#now, this.#sources);
    const [y, height] = [this.#tops[at], this.#tops[at + 1] - this.#tops[at] - (isOver(task) ? 0 : CARD_GAP)];
    if (row.y !== y) row.item.style.transform = `translateY(${row.y = y}px)`;
    if (row.height !== height) row.item.style.height = `${row.height = height}px`;
    row.button.tabIndex = id === stop ? 0 : -1;
    row.item.setAttribute('aria-posinset', String(at + 1));
    row.item.setAttribute('aria-setsize', String(this.#tasks.length));
    const there = this.#list.children[index];
    if (there === row.item) return;
    const focused = row.item.contains(document.activeElement);
    this.#list.insertBefore(row.item, there ?? null);
    if (focused) row.button.focus({ preventScroll: true }); // moving an element blurs it
  }

  /** The task that Tab leads to: the current one, else the first. */
  #stop() {
    return this.#indexOf(this.#current) >= 0 ? this.#current : this.#tasks[0]?.task_id ?? '';
  }

  /** @param {string} id */
  #indexOf(id) {
    return id === '' ? -1 : this.#tasks.findIndex((task) => task.task_id === id);
  }

  // ── keys and presses ────────────────────────────────────────────────────────────────────────

  /** @param {KeyboardEvent} event */
  #keyed(event) {
    if (hasModifier(event)) return;
    if (event.key in STEPS) this.#step(STEPS[event.key]);
    else if (event.key === 'Escape') this.#selected === null ? this.#actions.close() : this.#actions.pick(null);
    else if (event.key === 'Delete') this.#hide(this.#current);
    else if (event.key === 'ArrowRight') this.#open(this.#current);
    else if (event.key === 'ArrowLeft') this.#actions.close();
    else return;
    event.preventDefault();
  }

  /** @param {number} by */
  #step(by) {
    if (this.#tasks.length === 0) return;
    const at = Math.max(0, Math.min(this.#tasks.length - 1, this.#indexOf(this.#stop()) + by));
    this.#current = this.#tasks[at].task_id;
    this.#scrollTo(at);
    this.#place();
    this.#rows.get(this.#current)?.button.focus({ preventScroll: true });
  }

  /** @param {number} at */
  #scrollTo(at) {
    const [top, bottom] = [this.#tops[at], this.#tops[at + 1]];
    const { scrollTop, clientHeight } = this.#scroller;
    if (top < scrollTop) this.#scroller.scrollTop = top;
    else if (bottom > scrollTop + clientHeight) this.#scroller.scrollTop = bottom - clientHeight;
    this.#place();
  }

  /** @param {HTMLElement} target */
  #focused(target) {
    const id = target.closest('li')?.dataset.task;
    if (id === undefined || id === this.#current) return;
    this.#current = id;
    for (const [each, row] of this.#rows) row.button.tabIndex = each === id ? 0 : -1;
  }

  /** @param {HTMLElement} target */
  #clicked(target) {
    const id = target.closest('li')?.dataset.task;
    if (id === undefined) return;
    if (target.closest('.hide-task')) this.#hide(id);
    else if (target.closest('.open-group')) this.#open(id);
    else if (target.closest('.pick-task')) this.#actions.pick(id === this.#selected ? null : id);
  }

  /** @param {string} id */
  #open(id) {
    const task = this.#tasks[this.#indexOf(id)];
    if (task && this.#sources.groupOf(task)) this.#actions.open(task);
  }

  /** @param {string} id */
  #hide(id) {
    const task = this.#tasks[this.#indexOf(id)];
    if (task && (isOver(task) || task.state === 'lost')) this.#actions.hide(task);
  }
}
