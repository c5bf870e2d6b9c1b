/** Connects a second device to the same stream: shows a one-time link, or opens one. */

import { Problem, call, makeLink } from './api.js';
import { copyText } from './copy.js';
import { fillDialog } from './dialogs.js';
import { byId, el, setText } from './dom.js';
import { forgetDevice } from './push-device.js';

const LINK_FRAGMENT = '#link=';
const SIGNED_IN = ['already_signed_in', 'already_somebody']; // the second is the code of older versions
const LOOPBACK = /^(127\.|localhost$|\[::1\]$)/;

/** Shows a link until it expires. Nothing of it is kept once the dialog is closed. */
export class SecondDevice {
  #dialog = /** @type {HTMLDialogElement} */ (byId('device'));
  #code = el('div', { class: 'device-code' });
  #left = el('p', { class: 'device-left' });
  #copy = el('button', { type: 'button', class: 'quiet', text: 'Copy link', onclick: () => this.#copied() });
  #again = el('button', { type: 'button', class: 'primary', text: 'New link', hidden: true, onclick: () => this.#renew() });
  #problem = el('p', { class: 'problem', role: 'alert', hidden: true });
  #link = '';
  #endsAt = 0;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer;

  constructor() {
    fillDialog(this.#dialog, 'Open on another device',
      el('p', { class: 'lede', text: 'Point your phone’s camera at the code. Or paste the link into another browser, or after “relay login” in a terminal.' }),
      this.#code, el('div', { class: 'device-row' }, this.#left, this.#copy, this.#again), this.#problem,
      el('p', { class: 'device-note', text: linkNote() }), this.#pasting());
    this.#dialog.addEventListener('close', () => this.#forget());
  }

  /** An installed app has no address bar to paste a link into. */
  #pasting() {
    const field = el('input', { type: 'text', id: 'pasted-link', autocomplete: 'off', spellcheck: 'false', autocapitalize: 'off', placeholder: 'https://…/#link=…' });
    const form = el('form', { class: 'device-paste' }, el('label', { for: 'pasted-link', text: 'Or paste a link from another device' }),
      el('div', { class: 'device-row' }, field, el('button', { type: 'submit', class: 'quiet', text: 'Open it here' })));
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      const code = field.value.trim().split(LINK_FRAGMENT)[1];
      if (code) location.hash = LINK_FRAGMENT + code; // openPastedLinks goes on from here
      else field.focus();
    });
    return form;
  }

  async open() {
    this.#dialog.showModal();
    await this.#renew();
  }

  async #renew() {
    this.#forget();
    this.#again.hidden = this.#problem.hidden = true;
    try {
      const made = await makeLink();
      if (!this.#dialog.open) return;
      this.#link = made.link;
      this.#endsAt = performance.now() + made.expires_in * 1000;
      this.#code.replaceChildren(el('img', { src: made.qr, alt: 'QR code of the link', width: 240, height: 240 }));
      this.#code.hidden = this.#copy.hidden = false;
      this.#timer = setInterval(() => this.#tick(), 1000);
      this.#tick();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      this.#problem.textContent = problem.message;
      this.#problem.hidden = this.#again.hidden = false;
    }
  }

  #tick() {
    const seconds = Math.ceil((this.#endsAt - performance.now()) / 1000);
    if (seconds > 0) {
      setText(this.#left, `Works once, for ${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`);
      return;
    }
    this.#forget();
    setText(this.#left, 'This link has expired.');
    this.#again.hidden = false;
  }

  async #copied() {
    setText(this.#copy, (await copyText(this.#link)) ? 'Copied' : 'Could not copy');
  }

  /** Removes the link from the page: it gives access to the stream. */
  #forget() {
    clearInterval(this.#timer);
    this.#link = '';
    this.#code.replaceChildren();
    this.#code.hidden = this.#copy.hidden = true;
    setText(this.#left, '');
    setText(this.#copy, 'Copy link');
  }
}

/** What the link gives access to, and which devices can open it. */
function linkNote() {
  const warning = 'The first person to open it can see and control your stream.';
  return LOOPBACK.test(location.hostname) ? `${warning} It works on this machine only: for a phone, start Relay with a BASE_URL that the phone can reach.` : warning;
}

/** Takes the code of a link out of the page's address, so that it does not stay in the history. @returns {string} */
export function takeLinkCode() {
  if (!location.hash.startsWith(LINK_FRAGMENT)) return '';
  const code = location.hash.slice(LINK_FRAGMENT.length);
  history.replaceState(null, '', location.pathname + location.search);
  return code;
}

/** Reloads this page when a link is pasted into its address bar, so that it is opened. */
export function openPastedLinks() {
  addEventListener('hashchange', () => {
    if (location.hash.startsWith(LINK_FRAGMENT)) location.reload();
  });
}

/**
 * Signs in as the user of the link. A browser with a stream of its own asks first.
 * @param {string} code @returns {Promise<void>} Raises Problem.
 */
export async function openLink(code) {
  try {
    await redeem(code, false);
  } catch (problem) {
    if (!(problem instanceof Problem) || !SIGNED_IN.includes(problem.code)) throw problem;
    if (!(await wantsToReplace())) return;
    await redeem(code, true);
    await forgetDevice();
  }
}

/** @param {string} code @param {boolean} replace */
async function redeem(code, replace) {
  const open = () => call('POST', 'api/session/link/redeem', { body: { code, replace } });
  try {
    await open();
  } catch (problem) {
    // the same answer refuses a stale cookie and deletes it; the second request comes without
    if (!(problem instanceof Problem) || problem.status !== 401) throw problem;
    await open();
  }
}

/** @returns {Promise<boolean>} */
function wantsToReplace() {
  return new Promise((resolve) => {
    const dialog = el('dialog', { class: 'device device-ask', 'aria-labelledby': 'replace-title' },
      el('h2', { id: 'replace-title', text: 'Open the other stream here?' }),
      el('p', { class: 'lede', text: 'This browser already has a stream. If you open the other one, this browser will lose its current stream for good.' }),
      el('div', { class: 'device-row' },
        el('button', { type: 'button', class: 'quiet', autofocus: true, text: 'Keep mine', onclick: () => dialog.close() }),
        el('button', { type: 'button', class: 'danger', text: 'Open the other', onclick: () => dialog.close('open') })));
    dialog.addEventListener('close', () => {
      resolve(dialog.returnValue === 'open');
      dialog.remove();
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
