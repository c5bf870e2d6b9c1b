/** Getting in: who we are and where our stream stands, however long the server takes. */

import { Problem, enter, getMe } from './api.js';
import { byId, el, setText } from './dom.js';
import { openLink, takeCode } from './second-device.js';

/** @typedef {import('./api.js').Me} Me */

/** @returns {Promise<Me>} Resolves when the server lets us in; tells the person what it waits for. */
export async function openSession() {
  let code = takeCode();
  for (let attempt = 1; ; attempt += 1) {
    try {
      if (code) await openLink(code);
      code = '';
      await enter();
      const me = await getMe();
      hideNotice();
      document.body.classList.remove('outside');
      return me;
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      setText(byId('link-text'), 'Not connected');
      if (problem.code === 'link_gone' || problem.status === 422) code = ''; // the button goes on without it
      const wait = problem.retryAfter || Math.min(30, 2 ** Math.min(attempt, 5));
      await notice(sentenceFor(problem, wait), [410, 422].includes(problem.status) ? 'Go on without it' : 'Try now', hopeless(problem) ? null : wait);
    }
  }
}

/** @param {Problem} problem */
const hopeless = (problem) => [400, 403, 410, 422].includes(problem.status);

/** @param {Problem} problem @param {number} wait */
function sentenceFor(problem, wait) {
  if (problem.code === 'signup_closed') return 'This Relay does not take new people by itself. Ask whoever runs it to make you a user.';
  if (problem.status === 410 || problem.status === 422) return 'This link was used, replaced by a newer one, or is older than five minutes. Show a new one where you are already in.';
  if (problem.status === 403) return 'This page may not be used from here: the address in the bar is not the one this Relay knows as its own.';
  if (problem.status === 429) return `Many new visitors came from your network at once. The door opens again in ${wait} s.`;
  if (problem.status === 401) return 'The browser does not keep the cookie this page needs. Allow cookies for this address and try again.';
  if (problem.status === 0) return 'Relay does not answer. It may be restarting; this page keeps trying.';
  return `Relay cannot let you in at the moment (${problem.message}). This page keeps trying.`;
}

/**
 * Say what is the matter, with one button. Resolves when it is pressed, or after `seconds`.
 * @param {string} message @param {string} action @param {number | null} [seconds] @returns {Promise<void>}
 */
export function notice(message, action, seconds = null) {
  const box = byId('notice');
  return new Promise((resolve) => {
    const timer = seconds === null ? undefined : setTimeout(resolve, seconds * 1000);
    const press = () => { clearTimeout(timer); resolve(); };
    if (box.firstElementChild?.textContent !== message) {
      box.replaceChildren(el('p', { text: message }));
    }
    box.querySelector('button')?.remove();
    box.append(el('button', { type: 'button', class: 'quiet small', text: action, onclick: press }));
    box.hidden = false;
  });
}

export function hideNotice() {
  byId('notice').hidden = true;
}
