/** The switches and buttons above the log: kinds of lines, wrapping, copies. */

import { plain } from './ansi.js';
import { copyText } from './copy.js';
import { byId } from './dom.js';
import { store, stored } from './storage.js';

/** @typedef {import('./log-store.js').Line} Line */
/** @typedef {import('./log-store.js').Kind} Kind */
/** @typedef {{ kinds: () => Set<Kind>, choose: (kinds: Set<Kind>) => void, wrap: (on: boolean) => void, lines: () => Line[], titled: () => boolean }} Log */

const KEPT_AS = 'relay.wrap';
const NARROW = '(max-width: 820px)'; // where lines are wrapped unless that is switched off

export class LogTools {
  #log;
  #wrap = byId('wrap');

  /** @param {Log} log */
  constructor(log) {
    this.#log = log;
    for (const chip of this.#chips()) chip.addEventListener('click', () => this.#toggleKind(chip));
    this.#wrap.addEventListener('click', () => this.#toggleWrap());
    const usual = matchMedia(NARROW).matches ? 'on' : 'off';
    this.#setWrap((stored(KEPT_AS) ?? usual) === 'on');
    for (const [id, timed] of /** @type {const} */ ([['copy-log', false], ['copy-times', true]])) {
      byId(id).addEventListener('click', ({ currentTarget }) => this.#copy(/** @type {HTMLElement} */ (currentTarget), timed));
    }
  }

  /** Shows lines of these kinds, too. @param {Kind[]} wanted */
  show(wanted) {
    const kinds = new Set([...this.#log.kinds(), ...wanted]);
    for (const chip of this.#chips()) chip.setAttribute('aria-pressed', String(kinds.has(kindOf(chip))));
    this.#log.choose(kinds);
  }

  /** @returns {HTMLElement[]} */
  #chips() {
    return [...document.querySelectorAll('.chips button')].map((chip) => /** @type {HTMLElement} */ (chip));
  }

  /** @param {HTMLElement} chip */
  #toggleKind(chip) {
    const kinds = new Set(this.#log.kinds());
    if (!kinds.delete(kindOf(chip))) kinds.add(kindOf(chip));
    chip.setAttribute('aria-pressed', String(kinds.has(kindOf(chip))));
    this.#log.choose(kinds);
  }

  #toggleWrap() {
    const on = this.#wrap.getAttribute('aria-pressed') !== 'true';
    this.#setWrap(on);
    store(KEPT_AS, on ? 'on' : 'off');
  }

  /** @param {boolean} on */
  #setWrap(on) {
    this.#wrap.setAttribute('aria-pressed', String(on));
    this.#log.wrap(on);
  }

  /** @param {HTMLElement} button @param {boolean} timed */
  async #copy(button, timed) {
    const label = button.textContent;
    if (label !== button.dataset.label && button.dataset.label) return; // of the last copy
    button.dataset.label = label ?? '';
    const titled = this.#log.titled();
    const done = await copyText(this.#log.lines().map((line) => (timed ? timedLine(line, titled) : plain(line.text))).join('\n'));
    button.textContent = done ? 'Copied' : 'Could not copy';
    setTimeout(() => { button.textContent = label; }, 1_600);
  }
}

/** @param {HTMLElement} chip */
const kindOf = ({ dataset }) => /** @type {Kind} */ (dataset.kind);

/** @param {Line} line @param {boolean} titled */
function timedLine({ at, title, text }, titled) {
  return `${new Date(at).toISOString()}  ${titled && title ? `${title}  ` : ''}${plain(text)}`;
}
