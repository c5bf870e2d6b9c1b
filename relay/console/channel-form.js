/** The form that adds a channel. A mail address is asked for its code before it is added. */

import { mailCode } from './api.js';
import { EVENTS, KINDS } from './channel-words.js';
import { el } from './dom.js';

/** @typedef {import('./api.js').ChannelEvent} ChannelEvent */
/** @typedef {import('./channel-words.js').AddedKind} AddedKind */

const DEFAULT_EVENTS = new Set(['failed', 'lost', 'waiting', 'succeeded']);
const LEAST = /** @type {const} */ ([['of any length', 0], ['after 2 minutes', 120], ['after 10 minutes', 600], ['after 1 hour', 3_600]]);
const DEFAULT_LEAST = 120; // seconds

export class ChannelForm {
  #kinds = el('select', { name: 'kind', onchange: () => this.#shape() });
  #label = el('span');
  #hint = el('p', { class: 'channel-hint', id: 'channel-hint' });
  #address = el('input', { required: true, autocomplete: 'off', spellcheck: 'false', 'aria-describedby': 'channel-hint' });
  #token = el('input', { name: 'access_token', autocomplete: 'off', spellcheck: 'false', maxlength: 256 });
  #tokenField = el('label', { hidden: true }, el('span', { text: 'Access token, if the topic is protected' }), this.#token);
  #code = el('input', { name: 'code', autocomplete: 'one-time-code', inputmode: 'numeric', maxlength: 20, placeholder: '1234 5678' });
  #codeField = el('label', { hidden: true }, el('span', { text: 'Code from the mail' }), this.#code);
  #codeNote = el('p', { class: 'channel-hint', role: 'status' });
  #submit = el('button', { type: 'submit', class: 'primary', text: 'Add channel' });
  #least = el('select', { 'aria-label': 'Succeeded tasks' }, ...LEAST.map(([text, value]) => el('option', { value, text, selected: value === DEFAULT_LEAST })));
  #codeFor = ''; // the address that a code was mailed to

  /** @param {(wanted: Record<string, unknown>) => Promise<void>} add @param {(act: () => Promise<void>) => Promise<void>} guarded */
  constructor(add, guarded) {
    this.element = el('form', { class: 'make channel-make' },
      el('label', {}, el('span', { text: 'By' }), this.#kinds),
      el('label', { class: 'grow' }, this.#label, this.#address),
      this.#tokenField, this.#codeField, this.#submit, this.#hint, this.#codeNote, this.#rules());
    this.element.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#submit.disabled = true;
      guarded(() => this.#send(add)).finally(() => { this.#submit.disabled = false; });
    });
  }

  /** Offers these kinds. @param {string[]} kinds */
  offer(kinds) {
    const known = /** @type {AddedKind[]} */ (Object.keys(KINDS)).filter((kind) => kinds.includes(kind));
    const chosen = this.#kinds.value;
    this.#kinds.replaceChildren(...known.map((kind) => el('option', { value: kind, text: KINDS[kind].name, selected: kind === chosen })));
    this.#shape();
  }

  get #kind() {
    return /** @type {AddedKind} */ (this.#kinds.value || 'ntfy');
  }

  /** As the kind needs it. */
  #shape() {
    const { label, example, hint, field } = KINDS[this.#kind];
    this.#label.textContent = label;
    this.#address.placeholder = example;
    this.#address.type = field === 'address' ? 'email' : 'url';
    this.#hint.textContent = hint;
    this.#tokenField.hidden = this.#kind !== 'ntfy';
    this.#forgetCode();
  }

  #forgetCode() {
    this.#codeFor = this.#code.value = this.#codeNote.textContent = '';
    this.#codeField.hidden = true;
    this.#code.required = false;
    this.#submit.textContent = this.#kind === 'email' ? 'Send a code' : 'Add channel';
  }

  #rules() {
    const events = /** @type {[ChannelEvent, string][]} */ (Object.entries(EVENTS)).map(([event, text]) => {
      const box = el('input', { type: 'checkbox', name: 'on', value: event, checked: DEFAULT_EVENTS.has(event) });
      return el('li', {}, el('label', {}, box, text), ...(event === 'succeeded' ? [this.#least] : []));
    });
    return el('details', { class: 'channel-rules' }, el('summary', { text: 'What it is for' }),
      el('fieldset', {}, el('legend', { text: 'Tell me about a task when' }), el('ul', {}, ...events)),
      el('label', {}, el('input', { type: 'checkbox', name: 'always' }), 'also while I look at this page'),
      el('label', {}, el('input', { type: 'checkbox', name: 'message', checked: true }), 'with the last line of its output'));
  }

  /** @param {(wanted: Record<string, unknown>) => Promise<void>} add */
  async #send(add) {
    const given = new FormData(this.element);
    const address = this.#address.value.trim();
    const { field } = KINDS[this.#kind];
    if (field === 'address' && this.#codeFor !== address) return this.#mail(address);
    const wanted = /** @type {Record<string, unknown>} */ ({
      kind: this.#kind, [field]: address,
      on: given.getAll('on'), min_duration_s: Number(this.#least.value),
      unless_watched: !given.has('always'), message: given.has('message'),
    });
    if (this.#kind === 'ntfy' && this.#token.value) wanted.access_token = this.#token.value.trim();
    if (field === 'address') wanted.code = this.#code.value.trim();
    await add(wanted);
    this.#address.value = this.#token.value = '';
    this.#forgetCode();
  }

  /** @param {string} address */
  async #mail(address) {
    const { expires_in: seconds } = await mailCode(address);
    this.#codeFor = address;
    this.#codeField.hidden = false;
    this.#code.required = true;
    this.#submit.textContent = 'Add channel';
    this.#codeNote.textContent = `A code was sent to ${address}. It is valid for ${Math.floor(seconds / 60)} minutes.`;
    this.#code.focus();
  }
}
