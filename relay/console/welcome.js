/** The welcome: a first token, and lines to paste into a terminal. */

import { Problem, makeToken } from './api.js';
import { byId, setText } from './dom.js';
import { readyLinesView } from './ready-lines.js';

/** @param {(message: string) => void} showProblem */
export function installWelcome(showProblem) {
  const button = /** @type {HTMLButtonElement} */ (byId('first-token'));
  button.addEventListener('click', async () => {
    button.disabled = true;
    try {
      const { token } = await makeToken({ name: 'my first token' });
      const lines = byId('first-lines');
      lines.replaceChildren(readyLinesView(token));
      lines.hidden = false;
      byId('welcome').classList.add('ready-to-go');
      setText(byId('listening'), 'Waiting for your first event. This page updates when it arrives.');
      button.hidden = true;
      lines.querySelector('button')?.focus();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      showProblem(problem.message);
    } finally {
      button.disabled = false;
    }
  });
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
