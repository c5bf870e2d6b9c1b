/** Keys that work anywhere on the page, and the list of all keys. */

import { fillDialog } from './dialogs.js';
import { byId, el } from './dom.js';

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
  fillDialog(dialog, 'Keys',
    el('dl', { class: 'keys-list' }, ...KEYS.map(([key, action]) => el('div', {}, el('dt', {}, el('kbd', { text: key })), el('dd', { text: action })))));
  byId('show-keys').addEventListener('click', () => dialog.showModal());
  document.addEventListener('keydown', (event) => {
    if (event.defaultPrevented || hasModifier(event) || isWriting(event.target)) return;
    if (document.querySelector('dialog[open]') !== null) return;
    if (event.key === '?') dialog.showModal();
    else if (event.key === '/' && !byId('board').hidden) search(/** @type {Element} */ (event.target));
    else if (Object.hasOwn(actions, event.key)) actions[event.key]();
    else return;
    event.preventDefault();
  });
}

/** Whether the browser or the system has a use for this key. @param {KeyboardEvent} event */
export const hasModifier = (event) => event.ctrlKey || event.metaKey || event.altKey;

/** Whether keys go into a field there. @param {EventTarget | null} target */
export function isWriting(target) {
  return target instanceof Element && target.closest('input, textarea, select, [contenteditable]') !== null;
}

/** On a phone one of the two is on screen. @param {Element} from */
function search(from) {
  const [tasks, log] = [byId('task-search'), byId('search')];
  const wanted = from.closest('.tasks') ? tasks : log;
  (wanted.checkVisibility() ? wanted : wanted === log ? tasks : log).focus();
}
