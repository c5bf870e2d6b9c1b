/** Tasks on screen: one card each, changed in place. */

import { byId, el, icon, setText } from './dom.js';
import { ago, duration, left } from './times.js';

/** @typedef {import('./tasks.js').Task} Task */
/** @typedef {import('./tasks.js').TaskModel} TaskModel */
/** @typedef {{ item: HTMLLIElement, button: HTMLButtonElement, glyph: HTMLElement, title: HTMLElement, time: HTMLElement, message: HTMLElement, bar: HTMLElement, fill: HTMLElement, percent: HTMLElement, facts: HTMLElement, state: string }} Card */

const SILENT_AFTER = 120_000; // ms without an event before a running task is shown as silent

export class TaskCards {
  #list = byId('cards');
  #model;
  #pick;
  /** @type {Map<string, Card>} */ #cards = new Map();
  #order = '';
  /** @type {string | null} */ selected = null;

  /** @param {TaskModel} model @param {(key: string | null) => void} pick */
  constructor(model, pick) {
    this.#model = model;
    this.#pick = pick;
    this.#list.addEventListener('keydown', ({ key }) => {
      if (key === 'Escape' && this.selected !== null) pick(null);
    });
  }

  /** @param {number} now ms @returns {boolean} whether cards came, went or moved */
  draw(now) {
    const tasks = this.#model.ordered();
    const order = tasks.map((task) => `${task.key}\n${task.title}`).join('\n');
    const moved = order !== this.#order;
    if (moved) this.#arrange(tasks);
    this.#order = order;
    for (const task of tasks) this.#fill(/** @type {Card} */ (this.#cards.get(task.key)), task, now);
    byId('no-tasks').hidden = tasks.length > 0;
    this.#list.hidden = tasks.length === 0;
    byId('clear-finished').hidden = !tasks.some((task) => task.state !== 'running');
    return moved;
  }

  /** @param {string | null} key */
  select(key) {
    this.selected = key;
    for (const [each, card] of this.#cards) card.button.setAttribute('aria-pressed', String(each === key));
  }

  /** @param {Task[]} tasks */
  #arrange(tasks) {
    const keys = new Set(tasks.map((task) => task.key));
    for (const [key, card] of this.#cards) {
      if (keys.has(key)) continue;
      card.item.remove();
      this.#cards.delete(key);
    }
    tasks.forEach((task, index) => {
      const { item } = this.#cards.get(task.key) ?? this.#add(task);
      const there = this.#list.children[index];
      if (there === item) return;
      const focused = item.contains(document.activeElement);
      this.#list.insertBefore(item, there ?? null);
      if (focused) item.querySelector('button')?.focus(); // moving an element blurs it
    });
  }

  /** @param {Task} task @returns {Card} */
  #add(task) {
    const glyph = el('span', { class: 'glyph' });
    const title = el('span', { class: 'title' });
    const time = el('span', { class: 'time' });
    const message = el('span', { class: 'message' });
    const fill = el('span', { class: 'fill' });
    const bar = el('span', { class: 'bar', role: 'progressbar', 'aria-valuemin': 0, 'aria-valuemax': 100 }, fill);
    const percent = el('span', { class: 'percent' });
    const facts = el('span', { class: 'facts' });
    // the name of the button is the title alone; the rest is read after it, not with it
    const button = el('button', { type: 'button', class: 'pick-task', 'aria-pressed': String(this.selected === task.key),
      onclick: () => this.#pick(this.selected === task.key ? null : task.key) }, title);
    const item = el('li', { class: 'card' },
      el('div', { class: 'card-head' }, glyph, button, time), message,
      el('div', { class: 'card-progress' }, bar, percent), facts);
    const card = { item, button, glyph, title, time, message, bar, fill, percent, facts, state: '' };
    this.#cards.set(task.key, card);
    return card;
  }

  /** @param {Card} card @param {Task} task @param {number} now */
  #fill(card, task, now) {
    const { state, progress } = task;
    if (card.state !== state) {
      card.state = state;
      card.item.dataset.state = state;
      card.glyph.replaceChildren(icon(state), el('span', { class: 'sr', text: `${state}: ` }));
    }
    setText(card.title, task.title);
    setText(card.time, elapsed(task, now));
    setText(card.message, task.message);
    card.message.hidden = task.message === '';
    setText(card.facts, facts(task, now));
    if (task.id !== task.title && card.button.title !== task.id) card.button.title = task.id;
    card.facts.hidden = card.facts.textContent === '';

    const line = /** @type {HTMLElement} */ (card.bar.parentElement);
    line.hidden = state !== 'running';
    card.bar.classList.toggle('unknown', progress === null);
    card.bar.setAttribute('aria-label', `Progress of ${task.title}`);
    if (progress === null) {
      card.bar.removeAttribute('aria-valuenow');
      setText(card.percent, '');
    } else {
      const percent = String(Math.floor(progress * 100));
      if (card.bar.getAttribute('aria-valuenow') !== percent) card.bar.setAttribute('aria-valuenow', percent);
      card.fill.style.transform = `scaleX(${progress})`;
      setText(card.percent, `${percent} %`);
    }
  }
}

/** @param {Task} task @param {number} now */
function elapsed(task, now) {
  if (task.state === 'running') return duration(Math.max(0, now - task.startedAt) / 1000, true);
  return task.duration === null ? '' : duration(task.duration, false);
}

/** @param {Task} task @param {number} now */
function facts(task, now) {
  const silent = now - task.lastAt;
  const running = task.state === 'running';
  return [
    task.exitCode ? `exit ${task.exitCode}` : '',
    task.state === 'failed' && task.progress !== null ? `at ${Math.floor(task.progress * 100)} %` : '',
    task.run > 1 ? `run ${task.run}` : '',
    !running ? ago((now - task.endedAt) / 1000) : silent > SILENT_AFTER ? `silent for ${duration(silent / 1000, true)}` : left(task, now),
  ].filter(Boolean).join(' · ');
}
