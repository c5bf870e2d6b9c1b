/** The first minute: a token, and lines to paste. */

import { Problem, makeToken } from './api.js';
import { byId, setText } from './dom.js';
import { readyLinesView } from './ready-lines.js';

/** @param {(message: string) => void} complain */
export function installWelcome(complain) {
  const button = /** @type {HTMLButtonElement} */ (byId('first-token'));
  button.addEventListener('click', async () => {
    button.disabled = true;
    try {
      const { token } = await makeToken({ name: 'my first token' });
      const lines = byId('first-lines');
      lines.replaceChildren(readyLinesView(token));
      lines.hidden = false;
      byId('welcome').classList.add('ready-to-go');
      setText(byId('listening'), 'Waiting for your first event. This page turns by itself.');
      button.hidden = true;
      lines.querySelector('button')?.focus();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      complain(problem.message);
    } finally {
      button.disabled = false;
    }
  });
}

/**
 * The first event came, and the token is shown only once: its lines stay beside the tasks until dismissed.
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
