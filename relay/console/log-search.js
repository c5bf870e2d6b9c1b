/** The search of the log: its words filter the lines, and the lines found are gone through one by one. */

import { plain } from './ansi.js';
import { byId, setText } from './dom.js';
import { indexOfLine } from './log-layout.js';

/** @typedef {import('./log-store.js').Line} Line */

const TYPING_MS = 120; // after the last letter, until its words are searched for

export class LogSearch {
  /** The line that was stepped to. @type {Line | null} */ current = null;
  #input = /** @type {HTMLInputElement} */ (byId('search'));
  #buttons = /** @type {HTMLButtonElement[]} */ ([byId('previous-found'), byId('next-found')]);
  #pane;
  #typing = 0;
  #query = '';

  /** @param {{ search: (query: string) => void, found: () => Line[], reveal: () => void }} pane */
  constructor(pane) {
    this.#pane = pane;
    this.#input.addEventListener('input', () => {
      clearTimeout(this.#typing);
      this.#typing = window.setTimeout(() => this.#search(), TYPING_MS);
    });
    this.#input.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' || event.isComposing) return;
      event.preventDefault();
      this.#step(event.shiftKey ? -1 : 1);
    });
    this.#buttons.forEach((button, at) => button.addEventListener('click', () => this.#step(at === 0 ? -1 : 1)));
  }

  /** Shows how many lines are found, and which of them is the current one. @param {Line[]} lines */
  show(lines) {
    if (this.current && lines[indexOfLine(lines, this.current)] !== this.current) this.current = null;
    const count = this.#query && this.#count(lines);
    setText(byId('found'), count);
    this.#input.style.setProperty('--found', String(count.length)); // characters beside the words
    byId('found-steps').hidden = this.#query === '';
    for (const button of this.#buttons) button.disabled = lines.length === 0;
  }

  /** Searches for nothing. */
  clear() {
    this.#input.value = '';
    this.#search();
  }

  /** Screen readers hear the count after a search and a step, and not for each line that arrives. */
  #search() {
    clearTimeout(this.#typing);
    const query = this.#input.value.trim();
    if (query === this.#query) return;
    this.#query = query;
    this.current = null;
    this.#pane.search(query);
    setText(byId('found-line'), query && this.#count(this.#pane.found()));
  }

  /** To the next line found (1) or the previous one (-1), and from either end to the other. @param {1 | -1} by */
  #step(by) {
    this.#search();
    const lines = this.#pane.found();
    if (this.#query === '' || lines.length === 0) return;
    const at = this.current ? indexOfLine(lines, this.current) : -1;
    const next = at < 0 ? (by === 1 ? 0 : -1) : at + by;
    this.current = lines[(next + lines.length) % lines.length];
    this.#pane.reveal();
    setText(byId('found-line'), `${this.#count(lines)}: ${plain(this.current.text)}`);
  }

  /** @param {Line[]} lines */
  #count(lines) {
    const count = lines.length.toLocaleString();
    if (this.current) return `${(indexOfLine(lines, this.current) + 1).toLocaleString()} of ${count}`;
    return `${count} ${lines.length === 1 ? 'line' : 'lines'}`;
  }
}
