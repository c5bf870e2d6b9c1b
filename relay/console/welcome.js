/** The welcome: lines to paste into a terminal, ticked when they have worked. */

import { Problem, makeLink, makeToken } from './api.js';
import { byId, el, icon, setText } from './dom.js';
import { readyLinesForMe } from './ready-lines.js';

/** @typedef {import('./api.js').TokenInfo} TokenInfo */

const FIRST_NAME = 'my first token';
/** @type {Set<string>} */
const names = new Set(); // of the tokens that the stream has

/** @param {(message: string) => void} showProblem */
export function installWelcome(showProblem) {
  const button = /** @type {HTMLButtonElement} */ (byId('first-token'));
  button.addEventListener('click', async () => {
    button.disabled = true;
    try {
      const { link } = await makeLink(); // first: it ends by itself where no token follows
      const { token } = await makeToken({ name: unusedName() });
      byId('first-lines').replaceChildren(readyLinesForMe(token, link, () => anotherLink(showProblem)));
      byId('first-lines').hidden = false;
      byId('welcome').classList.add('ready-to-go');
      setText(byId('listening'), 'Waiting for your first event. This page updates when it arrives.');
      button.hidden = true;
      byId('first-lines').querySelector('button')?.focus();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      showProblem(problem.message);
    } finally {
      button.disabled = false;
    }
  });
}

/** A stream without an event, whose tokens were made on an earlier visit: their lines are gone. @param {TokenInfo[]} tokens */
export function recallTokens(tokens) {
  for (const { name } of tokens) if (name !== null) names.add(name);
  const newest = [...tokens].sort((a, b) => b.created_at.localeCompare(a.created_at)).at(0);
  if (newest === undefined) return;
  setText(byId('listening'), `Waiting for the first event of ${newest.name ?? 'your token'}. Lost the lines? Make a new token.`);
  setText(byId('first-token'), 'Make a new token');
}

/** @param {(message: string) => void} showProblem @returns {Promise<string>} '' if there is none */
async function anotherLink(showProblem) {
  try {
    return (await makeLink()).link;
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    showProblem(problem.message);
    return '';
  }
}

function unusedName() {
  let name = FIRST_NAME;
  for (let number = 2; names.has(name); number += 1) name = `${FIRST_NAME} (${number})`;
  names.add(name);
  return name;
}

/**
 * Called when the first event arrives. The token is shown once, so its lines stay beside the tasks until dismissed.
 * @param {() => void} dismissed
 */
export function keepGuide(dismissed) {
  const lines = byId('first-lines');
  const guide = byId('guide');
  if (lines.hidden) return;
  guide.append(lines);
  guide.hidden = false;
  byId('log').classList.add('guided');
  byId('guide-done').addEventListener('click', () => {
    guide.remove();
    byId('log').classList.remove('guided');
    dismissed();
    byId('lines').focus();
  });
}

/** Ticks the steps that an event shows to be done: an event needs a connection. @param {string | undefined} taskId of the event */
export function tickSteps(taskId) {
  const steps = document.querySelectorAll('#first-lines .step');
  for (const step of [steps[0], taskId === 'hello' ? steps[1] : steps[2]]) {
    if (!step || step.classList.contains('done')) continue;
    step.classList.add('done');
    step.querySelector('h3')?.append(el('span', { class: 'tick' }, icon('succeeded'), el('span', { class: 'sr', text: ' (done)' })));
  }
}
