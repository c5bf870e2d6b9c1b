/** Above the log of a task: all that is known of it, and what can be done with it. */

import { Problem, getTasks } from './api.js';
import { ChartZoom } from './chart-zoom.js';
import { drawCharts } from './charts.js';
import { copyText } from './copy.js';
import { byId, el, icon, setText } from './dom.js';
import { hrefOf } from './links.js';
import { exactText, numberText, percentText } from './number-text.js';
import { titleOf } from './task-names.js';
import { STATE_WORDS, elapsed, factsOf, isOver } from './task-words.js';

/** @typedef {import('./relay-stream.d.ts').RelayTask} RelayTask */
/** @typedef {import('./relay-stream.d.ts').RelayTasks} RelayTasks */
/** @typedef {{ tasks: RelayTasks, metrics: import('./metric-history.js').MetricHistory, find: (id: string) => RelayTask | undefined, hide: (task: RelayTask) => void, hashOf: (id: string) => string }} Sources */

const UNKNOWN = 'Relay knows no task of this id any more.';
const UNREAD = 'This task could not be read.';
const AGAIN_MS = 5_000; // after a read that failed, unless its answer asks for more
const MOST_CHILDREN = 20;
const MOST_METRICS = 8;
const MOST_CHARTS = 6;
const moment = new Intl.DateTimeFormat([], { weekday: 'short', day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });

export class TaskHead {
  #head = byId('task-head');
  #sources;
  /** @type {string | null} */ #id = null;
  /** Tasks that neither the list nor the board has: the one that is shown, its parent, its children. @type {Map<string, RelayTask>} */ #others = new Map();
  #absent = ''; // why the task is not shown, once that is known
  #again = 0;
  #kin = '';
  #zoom = new ChartZoom(() => this.draw(Date.now()));

  /** @param {Sources} sources */
  constructor(sources) {
    this.#sources = sources;
    byId('head-copy').addEventListener('click', ({ currentTarget }) => this.#copyLink(/** @type {HTMLElement} */ (currentTarget)));
    byId('head-hide').addEventListener('click', () => {
      const task = this.#find(this.#id ?? '');
      if (task) sources.hide(task);
    });
  }

  /** The task that is shown. @param {string} id */
  find(id) {
    return this.#find(id);
  }

  /** @param {string | null} id */
  async show(id) {
    this.#id = id;
    this.#absent = '';
    clearTimeout(this.#again);
    this.#kin = '-';
    this.#zoom.reset();
    this.#others.clear();
    this.#head.hidden = id === null;
    if (id === null) return;
    this.draw(Date.now());
    await this.#load(id);
  }

  /** Reads a task and its kin; again later, if it is not known then whether there is such a task. @param {string} id */
  async #load(id) {
    const [problem] = await Promise.all([this.#read({ task_id: id }, id), this.#read({ parent_id: id, limit: String(MOST_CHILDREN) }, id)]);
    const parent = this.#id === id ? this.#find(id)?.parent_id : null;
    if (parent && !this.#find(parent)) await this.#read({ task_id: parent }, id);
    if (this.#id !== id) return;
    this.#absent = problem === null || problem.status === 422 ? UNKNOWN : UNREAD; // 422: no task can have this id
    if (problem?.mayPass && !this.#find(id)) this.#again = window.setTimeout(() => this.#load(id), Math.max(AGAIN_MS, problem.pause * 1000));
    this.draw(Date.now());
  }

  /** @param {import('./relay-stream.d.ts').TaskChanges} changes */
  apply({ tasks }) {
    for (const { task_id: id, task } of tasks) if (task !== null && this.#others.has(id)) this.#others.set(id, task);
  }

  /** @param {number} now ms */
  draw(now) {
    if (this.#id === null) return;
    const task = this.#find(this.#id);
    if (this.#head.dataset.state !== (task?.state ?? '')) {
      this.#head.dataset.state = task?.state ?? '';
      byId('head-glyph').replaceChildren(...(task ? [icon(task.state)] : []));
    }
    setText(byId('head-title'), task ? titleOf(task) : this.#id);
    setText(byId('head-state'), task ? STATE_WORDS[task.state] : this.#absent);
    const charts = task ? this.#sources.metrics.of(task.task_id, task.first_seq).slice(0, MOST_CHARTS) : [];
    drawCharts(byId('head-charts'), this.#zoom.of(charts));
    const others = task ? metricsBeside(task, charts) : [];
    setText(byId('head-facts'), task ? factsLine(task, now, others.map(([name, value]) => `${name} ${numberText(value)}`)) : '');
    const exact = others.map(([name, value]) => `${name}: ${exactText(value)}`).join('\n');
    if (byId('head-facts').title !== exact) byId('head-facts').title = exact;
    byId('head-actions').hidden = !task;
    if (!task) return;
    const download = /** @type {HTMLAnchorElement} */ (byId('head-download'));
    const address = `api/tasks/log?${new URLSearchParams({ task_id: task.task_id, run: String(task.run) })}`;
    if (download.getAttribute('href') !== address) download.setAttribute('href', address);
    byId('head-hide').hidden = !isOver(task) && task.state !== 'lost';
    setText(byId('head-hide'), task.hidden ? 'Show on the board' : 'Hide');
    this.#drawUrl(task);
    this.#drawKin(task);
  }

  /** @param {RelayTask} task */
  #drawUrl({ url }) {
    const link = /** @type {HTMLAnchorElement} */ (byId('head-url'));
    const href = hrefOf(url ?? '');
    link.hidden = href === '';
    if (href !== '' && link.getAttribute('href') !== href) link.setAttribute('href', href);
  }

  /** Its parent, and its children with their states. @param {RelayTask} task */
  #drawKin({ task_id: id, parent_id: parentId }) {
    const known = new Map([...this.#others, ...this.#sources.tasks]);
    const children = [...known.values()].filter((task) => task.parent_id === id && task.task_id !== id).slice(0, MOST_CHILDREN);
    const parent = parentId === null ? null : this.#find(parentId) ?? { task_id: parentId, title: null, state: null };
    const kin = JSON.stringify([parent && titleOf(parent), children.map((task) => [task.task_id, task.title, task.state])]);
    if (kin === this.#kin) return;
    this.#kin = kin;
    byId('head-kin').replaceChildren(
      ...(parent ? ['Part of ', this.#linkTo(parent)] : []), ...(parent && children.length > 0 ? [' · '] : []),
      ...(children.length > 0 ? ['Has ', ...children.flatMap((task, at) => (at > 0 ? [', ', this.#linkTo(task)] : [this.#linkTo(task)]))] : []));
    byId('head-kin').hidden = !parent && children.length === 0;
  }

  /** @param {{ task_id: string, title: string | null, state: import('./relay-stream.d.ts').TaskState | null }} task */
  #linkTo(task) {
    const state = task.state === null ? '' : ` (${STATE_WORDS[task.state].toLowerCase()})`;
    return el('a', { href: this.#sources.hashOf(task.task_id), class: 'kin' }, el('bdi', { text: titleOf(task) }), state);
  }

  /** @param {string} id */
  #find(id) {
    return this.#sources.find(id) ?? this.#others.get(id);
  }

  /** @param {import('./api.js').Query} query @param {string} id that was shown when it was asked for @returns {Promise<Problem | null>} why it could not be read */
  async #read(query, id) {
    try {
      const { tasks } = await getTasks(query);
      if (this.#id === id) for (const task of tasks) this.#others.set(task.task_id, task);
      return null;
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      return problem; // what is known already is shown
    }
  }

  /** @param {HTMLElement} button */
  async #copyLink(button) {
    const done = await copyText(location.href);
    setText(button, done ? 'Copied' : 'Could not copy');
    setTimeout(() => setText(button, 'Copy link'), 1_600);
  }
}

/** Metrics that have no chart. @param {RelayTask} task @param {import('./metric-history.js').Series[]} charts */
function metricsBeside({ metrics }, charts) {
  const charted = new Set(charts.map(({ name }) => name));
  return Object.entries(metrics).filter(([name]) => !charted.has(name)).slice(0, MOST_METRICS);
}

/** @param {RelayTask} task @param {number} now @param {string[]} metrics */
function factsLine(task, now, metrics) {
  const time = elapsed(task, now);
  const more = isOver(task) ? [] : factsOf({ ...task, run: 1 }, now).split(' · ').filter((fact) => fact && fact !== STATE_WORDS[task.state]);
  return [
    `started ${moment.format(Date.parse(task.started_at))}`, time && (isOver(task) ? `took ${time}` : `for ${time}`),
    task.exit_code !== null ? `exit ${task.exit_code}` : '', task.progress !== null && task.state !== 'succeeded' ? `at ${percentText(task.progress)} %` : '',
    task.run > 1 ? `run ${task.run}` : '', ...more, ...metrics,
  ].filter(Boolean).join(' · ');
}
