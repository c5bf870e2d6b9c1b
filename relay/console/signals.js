/** What is visible while the page is hidden: title, favicon, notifications. */

import { byId, el, icon } from './dom.js';
import { titleOf } from './task-names.js';
import { STATE_WORDS } from './task-words.js';
import { duration } from './times.js';
import { visible } from './visible-text.js';

/** @typedef {import('./relay-stream.d.ts').RelayTask} RelayTask */
/** @typedef {import('./relay-stream.d.ts').TaskCounts} TaskCounts */
/** @typedef {import('./ask-list.js').Ask} Ask */

const favicon = /** @type {HTMLLinkElement} */ (document.querySelector('link[rel=icon]'));
const idleIcon = favicon.href;
let shownCounts = '';

/** @param {TaskCounts} counted `waiting`: all that needs a person */
export function showCounts({ waiting = 0, running = 0, failed = 0 }) {
  const needs = waiting === 1 ? '1 needs you' : `${waiting} need you`;
  const counts = [waiting && needs, running && `${running} running`, failed && `${failed} failed`].filter(Boolean).join(', ');
  if (counts === shownCounts) return;
  shownCounts = counts;
  document.title = counts ? `${counts} · Relay` : 'Relay';
  const part = (/** @type {number} */ count, /** @type {string} */ state, word = state) => (count > 0 ? [el('span', { class: state }, count.toLocaleString(), el('span', { class: 'word', text: ` ${word}` }))] : []);
  byId('tally').replaceChildren(...part(waiting, 'waiting', needs.replace(/^\d+ /, '')), ...part(running, 'running'), ...part(failed, 'failed'));
  favicon.href = counts ? badgeIcon(waiting, failed, running) : idleIcon;
}

/** The favicon as a badge: how many need a person, else how many tasks failed, else how many are running. @param {number} waiting @param {number} failed @param {number} running */
function badgeIcon(waiting, failed, running) {
  const count = waiting || failed || running;
  const label = count > 9 ? '9+' : String(count);
  const badge = waiting ? '#7a5100' : failed ? '#c3202e' : '#2530c4';
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" fill="${badge}"/><text x="16" y="23" text-anchor="middle" font-family="system-ui,sans-serif" font-weight="700" font-size="${label.length > 1 ? 17 : 21}" fill="#fff">${label}</text></svg>`;
  return `data:image/svg+xml,${encodeURIComponent(svg)}`;
}

/** Desktop notifications, off until they are turned on. */
export class Notifier {
  #button = byId('notify');
  #on = false;
  /** @type {Map<string, Notification>} */ #asked = new Map();

  /** @param {(message: string) => void} showProblem */
  constructor(showProblem) {
    this.#button.prepend(icon('bell'));
    this.#button.hidden = !('Notification' in window);
    this.#set(this.#button.hidden === false && Notification.permission === 'granted' && storedChoice() === 'on');
    this.#button.addEventListener('click', async () => {
      if (this.#on) return this.#set(false);
      const answer = await Notification.requestPermission();
      this.#set(answer === 'granted');
      if (answer === 'denied') showProblem('Your browser is blocking notifications from this page. Allow them in its settings for this site, then press the bell again.');
    });
  }

  /** @param {boolean} on */
  #set(on) {
    this.#on = on;
    this.#button.setAttribute('aria-pressed', String(on));
    this.#button.title = on ? 'You are notified when a task ends or asks' : 'Notify me when a task ends or asks';
    try {
      localStorage.setItem('relay.notify', on ? 'on' : 'off');
    } catch { /* no storage: off again on the next visit */ }
  }

  /** @param {RelayTask} task */
  ended(task) {
    const took = task.duration_s === null ? '' : ` after ${duration(task.duration_s, false)}`;
    this.#show(titleOf(task), `${STATE_WORDS[task.state]}${took}. ${task.message ?? ''}`, `relay ${task.task_id} ${task.run}`);
  }

  /** A program asks; `over` takes the notification away. @param {Ask} ask @param {string} title of its task */
  asked(ask, title) {
    const note = this.#show(visible(ask.question), title, `relay ask ${ask.ask_id}`);
    if (note) this.#asked.set(ask.ask_id, note);
  }

  /** @param {Ask} ask */
  over({ ask_id: id }) {
    this.#asked.get(id)?.close();
    this.#asked.delete(id);
  }

  /** Several tabs may notify: notifications with one tag replace each other. @param {string} title @param {string} body @param {string} tag */
  #show(title, body, tag) {
    if (!this.#on || !document.hidden) return null;
    try {
      const note = new Notification(title, { body, tag, icon: idleIcon });
      note.onclick = () => { window.focus(); note.close(); };
      return note;
    } catch {
      return null; // phones allow notifications from service workers only
    }
  }
}

function storedChoice() {
  try {
    return localStorage.getItem('relay.notify');
  } catch {
    return null;
  }
}

/** The switch between light and dark. The choice is stored; theme.js applies it on the next load. */
export function installThemeToggle() {
  const button = byId('theme');
  button.prepend(icon('theme'));
  button.addEventListener('click', () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
    root.dataset.theme = dark ? 'light' : 'dark';
    try {
      localStorage.setItem('relay.theme', root.dataset.theme);
    } catch { /* no storage: for this visit only */ }
  });
}
