/** The tasks of the stream on screen: filters with their counts, search, groups, the list, and what can be done with many. */

import { announce } from './announcer.js';
import { silentTogether } from './away.js';
import { Board, FILTERS } from './board.js';
import { byId, el, setText } from './dom.js';
import { Hiding } from './hiding.js';
import { TaskRows } from './task-rows.js';
import { titleOf } from './task-names.js';
import { isOver, noTasksWords } from './task-words.js';
import { UsualTimes } from './usual-times.js';

/** @typedef {import('./relay-stream.d.ts').RelayTask} RelayTask */
/** @typedef {import('./relay-stream.d.ts').RelayTasks} RelayTasks */
/** @typedef {import('./relay-stream.d.ts').TaskChanges} TaskChanges */
/** @typedef {import('./board.js').FilterName} FilterName */

const CARD_NUMBERS = 2; // with a chart each: a card has no room for more
const TYPING_MS = 150; // after the last letter, until titles are searched for it
const ALWAYS = new Set(['running', 'failed', 'all']); // the other filters are there when they have tasks
const number = new Intl.NumberFormat(); // made once: it is called ten times a second
const clock = new Intl.DateTimeFormat([], { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });

export class TasksPane {
  #tasks;
  #board;
  #rows;
  #hiding;
  #usual;
  #filters = new Map([...FILTERS].map(([name, label]) => [name, filterButton(label, () => this.#look({ filter: name }))]));
  #search = /** @type {HTMLInputElement} */ (byId('task-search'));
  #groupBy = /** @type {HTMLSelectElement} */ (byId('group-by'));
  #away = byId('away');
  #awayShown = '';
  #opened = ''; // the task that stood for the group that is shown
  #typing = 0;

  /** @param {RelayTasks} tasks @param {import('./metric-history.js').MetricHistory} metrics @param {(id: string | null) => void} pick @param {(message: string) => void} problem */
  constructor(tasks, metrics, pick, problem) {
    this.#tasks = tasks;
    this.#hiding = new Hiding(problem);
    this.#usual = new UsualTimes(tasks);
    this.#board = new Board(tasks, () => this.draw(Date.now()));
    this.#rows = new TaskRows(
      { pick, hide: (task) => this.hide(task), nearEnd: () => this.#board.more(), open: (task) => this.#open(task), close: () => this.#close() },
      {
        hasNumbers: ({ task_id: id, first_seq: since }) => metrics.hasCourse(id, since),
        numbersOf: ({ task_id: id, first_seq: since }) => metrics.of(id, since, CARD_NUMBERS),
        usualOf: (task) => this.#usual.of(task),
        groupOf: (task) => this.#board.groupOf(task),
      },
    );
    byId('filters').append(...[...this.#filters.values()].map(({ button }) => button));
    this.#search.addEventListener('input', () => {
      clearTimeout(this.#typing);
      this.#typing = window.setTimeout(() => this.#look({ query: this.#search.value.trim() }), TYPING_MS);
    });
    this.#search.addEventListener('keydown', ({ key }) => { if (key === 'ArrowDown' || key === 'Enter') this.#rows.focus(); });
    this.#groupBy.addEventListener('change', () => this.#look({ by: /** @type {import('./board.js').View['by']} */ (this.#groupBy.value), within: null }));
    byId('leave-group').addEventListener('click', () => this.#close());
    byId('clear-succeeded').addEventListener('click', () => this.#hiding.clearSucceeded());
    byId('show-hidden').addEventListener('click', () => this.#look({ hidden: !this.#board.view.hidden, filter: 'all', within: null }));
  }

  /** @param {TaskChanges} changes */
  apply(changes) {
    this.#board.apply(changes);
    if (changes.whole || changes.tasks.some(({ task }) => task === null || isOver(task))) this.#usual.renew();
  }

  /** @param {string} id */
  find(id) {
    return this.#board.find(id);
  }

  /** @param {RelayTask} task */
  hide(task) {
    if (task.hidden) this.#hiding.show([task.task_id]);
    else this.#hiding.hide([task.task_id], `Hidden: ${titleOf(task)}`);
  }

  /** @param {string | null} id */
  select(id) {
    this.#rows.select(id);
    if (id !== null) this.#rows.reveal(id);
  }

  /** @param {number} now ms */
  draw(now) {
    const rows = this.#board.rows();
    this.#rows.draw(rows, now);
    this.#drawFilters();
    this.#drawAway();
    this.#drawFoot(rows.length);
  }

  /** The tasks of a group. @param {RelayTask} task that stands for it */
  #open(task) {
    const group = this.#board.groupOf(task);
    if (group === undefined) return;
    const { title, parent_id: parentId } = group;
    setText(byId('group-name'), title === null ? `Part of ${titleOf(task)}` : titleOf(task));
    this.#opened = task.task_id;
    this.#look({ within: title === null ? { parent_id: `${parentId}` } : { title } });
    this.#rows.focus('');
  }

  /** All groups again. */
  #close() {
    if (this.#board.view.within === null) return;
    this.#look({ within: null });
    this.#rows.focus(this.#opened);
  }

  /** @param {Partial<import('./board.js').View>} change */
  #look(change) {
    this.#board.look(change);
    byId('within').hidden = this.#board.view.within === null;
    byId('tasks-scroll').scrollTop = 0;
    this.draw(Date.now());
  }

  #drawFilters() {
    const { filter, hidden } = this.#board.view;
    for (const [name, { button, count }] of this.#filters) {
      const tasks = this.#board.count(name);
      setText(count, number.format(tasks));
      button.hidden = tasks === 0 && !ALWAYS.has(name) && name !== filter;
      button.setAttribute('aria-pressed', String(name === filter && !hidden));
      button.disabled = hidden;
    }
  }

  /** That a machine is away is one thing to know, however many of its tasks fell silent. */
  #drawAway() {
    const group = silentTogether(this.#tasks.values());
    const key = group === null ? '' : `${group.at} ${group.tasks.length}`;
    if (key === this.#awayShown) return;
    const before = this.#awayShown;
    this.#awayShown = key;
    this.#away.hidden = group === null;
    if (group === null) return;
    const { at, tasks } = group;
    const words = `${tasks.length} tasks lost contact together at ${clock.format(at)}. The machine that runs them may be asleep, offline or switched off.`;
    const hide = () => this.#hiding.hide(tasks.map(({ task_id: id }) => id), `Hidden: ${tasks.length} tasks`);
    this.#away.replaceChildren(el('span', { text: words }), ' ', el('button', { type: 'button', class: 'text', text: 'Hide them', onclick: hide }));
    if (before.split(' ')[0] !== String(at)) announce(words);
  }

  /** @param {number} shown */
  #drawFoot(shown) {
    const { hidden } = this.#board.view;
    const total = this.#board.total(shown);
    const older = this.#board.failed ? 'Older tasks could not be read. Trying again …' : this.#board.loading ? 'Reading older tasks …' : '';
    setText(byId('tasks-shown'), older || (total === null ? `${number.format(shown)} or more` : shown < total ? `${number.format(shown)} of ${number.format(total)}` : ''));
    byId('clear-succeeded').hidden = hidden || !this.#tasks.counts.succeeded;
    const toggle = byId('show-hidden');
    toggle.setAttribute('aria-pressed', String(hidden));
    setText(toggle, hidden ? 'Back to all tasks' : 'Show hidden');
    const empty = byId('no-tasks');
    empty.hidden = shown > 0 || this.#board.loading;
    if (!empty.hidden) setText(empty, noTasksWords(this.#tasks.state, this.#board.failed, this.#board.view));
  }
}

/** @param {string} label @param {() => void} press */
function filterButton(label, press) {
  const count = el('span', { class: 'count' });
  return { count, button: el('button', { type: 'button', 'aria-pressed': 'false', onclick: press }, `${label} `, count) };
}
