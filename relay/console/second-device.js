/** The same user on a second device: a one-time link, shown here or opened here. */

import { Problem, call } from './api.js';
import { byId, el, icon, setText } from './dom.js';
import { copyText } from './ready-lines.js';

/** @typedef {{ link: string, expires_in: number, qr: string }} NewLink */

const MARK = '#link=';
const HERE_ONLY = /^(127\.|localhost$|\[::1\]$)/;

/** Shows a link for as long as it is good, and forgets it when closed. */
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
    this.#dialog.append(
      el('div', { class: 'dialog-head' },
        el('h2', { id: 'device-title', text: 'Open on another device' }),
        el('button', { type: 'button', class: 'icon', 'aria-label': 'Close', onclick: () => this.#dialog.close() }, icon('close'))),
      el('p', { class: 'lede', text: 'Point your phone’s camera here. Or paste the link into another browser, or behind “relay login” in a terminal.' }),
      this.#code, el('div', { class: 'device-row' }, this.#left, this.#copy, this.#again), this.#problem,
      el('p', { class: 'device-note', text: reach() }));
    this.#dialog.addEventListener('click', (event) => {
      if (event.target === this.#dialog) this.#dialog.close(); // the backdrop
    });
    this.#dialog.addEventListener('close', () => this.#forget());
  }

  async open() {
    this.#dialog.showModal();
    await this.#renew();
  }

  async #renew() {
    this.#forget();
    this.#again.hidden = this.#problem.hidden = true;
    try {
      /** @type {NewLink} */
      const made = await call('POST', 'api/session/link');
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
      setText(this.#left, `Good once, for ${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`);
      return;
    }
    this.#forget();
    setText(this.#left, 'This link has ended.');
    this.#again.hidden = false;
  }

  async #copied() {
    setText(this.#copy, (await copyText(this.#link)) ? 'Copied' : 'No access');
  }

  /** What was shown opens a stream: nothing of it stays behind. */
  #forget() {
    clearInterval(this.#timer);
    this.#link = '';
    this.#code.replaceChildren();
    this.#code.hidden = this.#copy.hidden = true;
    setText(this.#left, '');
    setText(this.#copy, 'Copy link');
  }
}

/** Who may hold the link, and who can reach where it leads. */
function reach() {
  const warning = 'Whoever opens it first sees this stream and speaks for you.';
  return HERE_ONLY.test(location.hostname) ? `${warning} It leads to this machine: for a phone, start Relay with a BASE_URL that the phone can reach.` : warning;
}

/** The code of the link this page was opened by; from here on it stands nowhere. @returns {string} */
export function takeCode() {
  if (!location.hash.startsWith(MARK)) return '';
  const code = location.hash.slice(MARK.length);
  history.replaceState(null, '', location.pathname + location.search);
  return code;
}

/** A link pasted into the address bar of this very page is opened like any other. */
export function heedPastedLinks() {
  addEventListener('hashchange', () => {
    if (location.hash.startsWith(MARK)) location.reload();
  });
}

/**
 * Become whose link it is, unless we are somebody else and want to stay so.
 * @param {string} code @returns {Promise<void>} Raises Problem.
 */
export async function openLink(code) {
  try {
    await redeem(code, false);
  } catch (problem) {
    if (!(problem instanceof Problem) || problem.code !== 'already_somebody') throw problem;
    if (await wantsToReplace()) await redeem(code, true);
  }
}

/** @param {string} code @param {boolean} replace */
async function redeem(code, replace) {
  const open = () => call('POST', 'api/session/link/redeem', { body: { code, replace } });
  try {
    await open();
  } catch (problem) {
    // a stale cookie is refused and deleted in one answer; without it we are nobody yet
    if (!(problem instanceof Problem) || problem.status !== 401) throw problem;
    await open();
  }
}

/** @returns {Promise<boolean>} */
function wantsToReplace() {
  return new Promise((resolve) => {
    const dialog = el('dialog', { class: 'device device-ask', 'aria-labelledby': 'replace-title' },
      el('h2', { id: 'replace-title', text: 'Open the other stream here?' }),
      el('p', { class: 'lede', text: 'This browser has a stream of its own. It forgets that one, and nobody can bring it back.' }),
      el('div', { class: 'device-row' },
        el('button', { type: 'button', class: 'quiet', autofocus: true, text: 'Stay with mine', onclick: () => dialog.close() }),
        el('button', { type: 'button', class: 'danger', text: 'Open the other', onclick: () => dialog.close('open') })));
    dialog.addEventListener('close', () => {
      resolve(dialog.returnValue === 'open');
      dialog.remove();
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
