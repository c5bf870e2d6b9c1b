/** What is visible while the page is hidden: title and favicon. And the switch between light and dark. */

import { byId, el, icon } from './dom.js';
import { store } from './storage.js';

/** @typedef {import('./relay-stream.d.ts').TaskCounts} TaskCounts */

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

/** The switch between light and dark. The choice is stored; theme.js applies it on the next load. */
export function installThemeToggle() {
  const button = byId('theme');
  button.prepend(icon('theme'));
  button.addEventListener('click', () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
    root.dataset.theme = dark ? 'light' : 'dark';
    store('relay.theme', root.dataset.theme);
  });
}
