/** Connects this browser: its user and the state of its stream, retried until the server answers. */

import { LONGEST_PAUSE_S, Problem, getMe, signIn } from './api.js';
import { byId, el, setText } from './dom.js';
import { openLink, takeLinkCode } from './second-device.js';

/** @typedef {import('./api.js').Me} Me */

/**
 * Resolves once this browser has a session; until then a notice shows why not.
 * @param {(message: string) => void} remark shows what is no obstacle
 * @returns {Promise<Me>}
 */
export async function openSession(remark) {
  let code = takeLinkCode();
  for (let attempt = 1; ; attempt += 1) {
    try {
      const gone = code ? await openUnlessGone(code) : '';
      code = '';
      await signIn();
      const me = await getMe();
      hideNotice();
      document.body.classList.remove('outside');
      if (gone) remark(`${gone} This browser is connected already, and shows its stream.`);
      return me;
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      setText(byId('link-text'), 'Not connected');
      if (problem.code === 'link_gone' || problem.status === 422) code = ''; // the button continues without the link
      const wait = problem.retryAfter || Math.min(30, 2 ** Math.min(attempt, 5));
      await notice(sentenceFor(problem, wait), isGone(problem) ? 'Continue without it' : 'Try now', isPermanent(problem) ? null : Math.min(wait, LONGEST_PAUSE_S));
    }
  }
}

/**
 * Opens a link. A link that is gone stops only a browser that has no stream: often it is the one that used the link.
 * @param {string} code @returns {Promise<string>} why the link was not opened, '' if it was. Raises Problem.
 */
async function openUnlessGone(code) {
  try {
    await openLink(code);
    return '';
  } catch (problem) {
    if (!(problem instanceof Problem) || !isGone(problem)) throw problem;
    const connected = await getMe().then(() => true, () => false);
    if (!connected) throw problem;
    return LINK_GONE;
  }
}

const LINK_GONE = 'This link was used, was replaced by a newer one, or is older than five minutes.';

/** @param {Problem} problem */
const isGone = (problem) => problem.status === 410 || problem.status === 422;

/** @param {Problem} problem */
const isPermanent = (problem) => [400, 403, 410, 422].includes(problem.status);

/** @param {Problem} problem @param {number} wait */
function sentenceFor(problem, wait) {
  if (problem.code === 'signup_closed') return 'Sign-up is closed on this Relay. Ask its operator to create a user for you.';
  if (isGone(problem)) return `${LINK_GONE} Create a new link on a device that is already connected.`;
  if (problem.status === 403) return 'The address in your browser is not this Relay’s own address. Open this page at the address that the operator set as BASE_URL.';
  if (problem.code === 'rate_limited') return `Too many new visitors from your network. Relay accepts the next one in ${wait} s.`;
  if (problem.status === 401) return 'Your browser is blocking the cookie that this page needs. Allow cookies for this address and try again.';
  if (problem.code === 'unreachable') return 'Relay does not answer. It may be restarting; this page keeps trying.';
  return `This page cannot connect at the moment (${problem.message}). It keeps trying.`;
}

/**
 * Shows a message with one button. Resolves when the button is pressed, or after `seconds`.
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
