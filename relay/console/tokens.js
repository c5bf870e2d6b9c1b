/** The dialog of tokens: lists, creates and revokes them. */

import { Problem, call, getMe, makeToken, revokeToken } from './api.js';
import { fillDialog } from './dialogs.js';
import { byId, el } from './dom.js';
import { forgetDevice } from './push-device.js';
import { readyLinesView } from './ready-lines.js';

/** @typedef {import('./api.js').TokenInfo} TokenInfo */

const DAY = 86_400;
const LIFETIMES = /** @type {const} */ ([['1 hour', DAY / 24], ['1 day', DAY], ['30 days', 30 * DAY], ['90 days', 90 * DAY], ['400 days', 400 * DAY]]);
const SCOPES = /** @type {const} */ ([['publish and watch', 'webhook'], ['publish only', 'publish'], ['watch only', 'watch']]);
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });

export class TokensDialog {
  #dialog = /** @type {HTMLDialogElement} */ (byId('tokens'));
  #rows = el('tbody');
  #made = el('div');
  #problem = el('p', { class: 'problem', role: 'alert', hidden: true });
  #submit = el('button', { type: 'submit', class: 'primary', text: 'Create token' });

  constructor() {
    fillDialog(this.#dialog, 'Tokens',
      el('p', { class: 'lede', text: 'A token connects a terminal, a script or a CI job to your stream. Create one for each place, so that you can revoke one without the others.' }),
      this.#form(), this.#problem, this.#made,
      el('div', { class: 'table-frame', tabindex: 0, role: 'group', 'aria-label': 'Active tokens' },
        el('table', {},
          el('thead', {}, el('tr', {}, ...['Name', 'Permission', 'Created', 'Last used', 'Expires'].map((text) => el('th', { scope: 'col', text })), el('th', { scope: 'col' }, el('span', { class: 'sr', text: 'Revoke' })))),
          this.#rows)),
      this.#ending());
    this.#dialog.addEventListener('close', () => this.#made.replaceChildren()); // shown once
  }

  async open() {
    this.#dialog.showModal();
    await this.#guarded(() => this.#list());
  }

  #form() {
    const choice = (/** @type {string} */ name, /** @type {readonly (readonly [string, string | number])[]} */ options, /** @type {string} */ chosen) =>
      el('select', { name }, ...options.map(([text, value]) => el('option', { value, text, selected: text === chosen })));
    const form = el('form', { class: 'make' },
      el('label', { class: 'grow' }, el('span', { text: 'Name' }), el('input', { name: 'name', maxlength: 100, required: true, autocomplete: 'off', placeholder: 'laptop, ci, trainer-2 …' })),
      el('label', {}, el('span', { text: 'Expires in' }), choice('expires_in', LIFETIMES, '90 days')),
      el('label', {}, el('span', { text: 'Permission' }), choice('scopes', SCOPES, 'publish and watch')),
      this.#submit);
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      const given = new FormData(form);
      this.#guarded(async () => {
        this.#submit.disabled = true;
        const scope = String(given.get('scopes'));
        const { token } = await makeToken({ name: String(given.get('name')).trim(), expires_in: Number(given.get('expires_in')), scopes: [scope] });
        form.reset();
        this.#made.replaceChildren(readyLinesView(token, scope === 'watch' ? 'watch' : 'publish'));
        await this.#list();
      }).finally(() => { this.#submit.disabled = false; });
    });
    return form;
  }

  /** @param {() => Promise<void>} act */
  async #guarded(act) {
    this.#problem.hidden = true;
    try {
      await act();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      this.#problem.textContent = problem.status === 429 ? 'Too many requests. Wait a moment and try again.' : problem.message;
      this.#problem.hidden = false;
    }
  }

  async #list() {
    const { tokens } = await getMe();
    const newestFirst = tokens.sort((a, b) => b.created_at.localeCompare(a.created_at));
    this.#rows.replaceChildren(...newestFirst.map((token) => this.#row(token)));
    if (tokens.length === 0) this.#rows.append(el('tr', {}, el('td', { colspan: 6, class: 'none', text: 'No tokens yet. Create one above and paste the lines that appear into a terminal.' })));
  }

  /** @param {TokenInfo} token */
  #row(token) {
    const name = token.name ?? 'unnamed';
    const scopes = token.scopes.map((scope) => SCOPES.find(([, value]) => value === scope)?.[0] ?? scope).join(', ');
    const last = el('td', { class: 'act' });
    const row = el('tr', {}, el('th', { scope: 'row', text: name }), el('td', { text: scopes }),
      when(token.created_at), token.last_used_at ? when(token.last_used_at) : el('td', { text: 'never' }), when(token.expires_at), last);
    const offer = () => last.replaceChildren(el('button', { type: 'button', class: 'text bad', text: 'Revoke', 'aria-label': `Revoke ${name}`, onclick: ask }));
    const ask = () => {
      const keep = el('button', { type: 'button', class: 'text', text: 'Keep', onclick: () => { offer(); last.querySelector('button')?.focus(); } });
      last.replaceChildren(
        el('span', { class: 'sure', role: 'alert', text: 'Everything that uses it is disconnected at once.' }),
        el('button', { type: 'button', class: 'danger small', text: 'Revoke', 'aria-label': `Yes, revoke ${name}`, onclick: () => this.#guarded(async () => {
          await revokeToken(token.token_id);
          await this.#list();
          this.#dialog.focus();
        }) }), keep);
      keep.focus();
    };
    offer();
    return row;
  }

  #ending() {
    const end = el('div', { class: 'ending' });
    const others = () => this.#guarded(async () => {
      const { ended } = await call('DELETE', 'api/session/others');
      end.replaceChildren(el('span', { role: 'status', text: ended === 0 ? 'There is no other session.' : `${ended} other ${ended === 1 ? 'session' : 'sessions'} ended.` }));
    });
    const offer = () => end.replaceChildren(
      el('button', { type: 'button', class: 'text', text: 'End this session', onclick: ask }),
      el('button', { type: 'button', class: 'text', text: 'End all other sessions', onclick: others }));
    const ask = () => end.replaceChildren(
      el('span', { role: 'alert', text: 'This browser will lose your stream. Unless another device is connected, it is lost for good.' }),
      el('button', { type: 'button', class: 'danger small', text: 'End session', onclick: () => this.#guarded(async () => {
        await call('DELETE', 'api/session');
        await forgetDevice();
        this.#dialog.close();
        offer();
      }) }),
      el('button', { type: 'button', class: 'text', text: 'Stay', onclick: () => offer() }));
    offer();
    return end;
  }
}

/** @param {string} stamp */
function when(stamp) {
  const seconds = (Date.parse(stamp) - Date.now()) / 1000;
  const [unit, size] = /** @type {const} */ ([['day', DAY], ['hour', 3600], ['minute', 60]]).find(([, each]) => Math.abs(seconds) >= each) ?? ['minute', 60];
  const about = Math.abs(seconds) < 60 ? 'just now' : relative.format(Math.round(seconds / size), unit);
  return el('td', {}, el('time', { datetime: stamp, title: new Date(stamp).toLocaleString(), text: about }));
}
