/** Keys that work anywhere on the page, and the list of all keys. */

import { byId, el, icon } from './dom.js';

const KEYS = [
  ['/', 'Go to the search: of tasks from the tasks, of the log from elsewhere'],
  ['a', 'Go to the first question of a program, and from there to the next one'],
  ['1 to 9, 0', 'In a question: answer with this option'],
  ['↑ ↓ or j k', 'Go through the tasks; Page Up, Page Down, Home and End go further'],
  ['Enter', 'Show the log of a task, or of all again'],
  ['Delete', 'Hide a task that has ended or was lost'],
  ['e', 'Of a task that failed: go to the failure'],
  ['f', 'In the log: follow its end, or pause'],
  ['End', 'In the log: follow its end'],
  ['+ − ← → Esc', 'In the charts of a task: less time, more, earlier, later, all of it'],
  ['Enter, Shift+Enter', 'In the search of the log: next line found, previous one'],
  ['→ ←', 'In groups: show the tasks of one; show all groups again'],
  ['Esc', 'Show all tasks, or all groups; close a dialog'],
  ['?', 'Show these keys'],
];

/** @param {Record<string, () => void>} actions by their keys, of one letter each */
export function installKeys(actions) {
  const dialog = /** @type {HTMLDialogElement} */ (byId('keys'));
  dialog.append(
    el('div', { class: 'dialog-head' },
      el('h2', { id: 'keys-title', text: 'Keys' }),
      el('button', { type: 'button', class: 'icon', 'aria-label': 'Close', onclick: () => dialog.close() }, icon('close'))),
    el('dl', { class: 'keys-list' }, ...KEYS.map(([key, action]) => el('div', {}, el('dt', {}, el('kbd', { text: key })), el('dd', { text: action })))));
  dialog.addEventListener('click', (event) => {
    if (event.target === dialog) dialog.close(); // the backdrop
  });
  byId('show-keys').addEventListener('click', () => dialog.showModal());
  document.addEventListener('keydown', (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isWriting(event.target)) return;
    if (document.querySelector('dialog[open]') !== null) return;
    if (event.key === '?') dialog.showModal();
    else if (event.key === '/' && !byId('board').hidden) search(/** @type {Element} */ (event.target));
    else if (Object.hasOwn(actions, event.key)) actions[event.key]();
    else return;
    event.preventDefault();
  });
}

/** @param {EventTarget | null} target */
function isWriting(target) {
  return target instanceof Element && target.closest('input, textarea, select, [contenteditable]') !== null;
}

/** On a phone one of the two is on screen. @param {Element} from */
function search(from) {
  const [tasks, log] = [byId('task-search'), byId('search')];
  const wanted = from.closest('.tasks') ? tasks : log;
  (wanted.checkVisibility() ? wanted : wanted === log ? tasks : log).focus();
}
