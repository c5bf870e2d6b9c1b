/** One ask on screen: the question, its details as text, what it may be answered with, and what became of it. */

import { answerFault, detailsText, foldedLines, outcomeWords, timeLeft } from './ask-words.js';
import { el, setText } from './dom.js';
import { visible } from './visible-text.js';

/** @typedef {import('./ask-list.js').Ask} Ask */
/** @typedef {import('./ask-list.js').AskEntry} AskEntry */
/** @typedef {(ask: Ask, answer: string) => void} Answer */

const SOON_MS = 60_000; // the time that is left is a warning

export class AskCard {
  item;
  ask; // as it is shown here: an answer is to this, whatever is known of it by now
  #from;
  #asks = el('span', { text: 'asks' });
  #left = el('span', { class: 'ask-left' });
  #answers;
  #problem = el('p', { class: 'ask-problem', role: 'alert', hidden: true });
  #outcome = el('p', { class: 'ask-outcome', hidden: true });
  #answer;
  #fault = ''; // of the text that is written, until it changes
  #over = false;

  /** @param {Ask} ask @param {{ answer: Answer, hashOf: (task: string) => string }} page */
  constructor(ask, { answer, hashOf }) {
    this.ask = ask;
    this.#answer = answer;
    const question = `ask-${ask.ask_id}`;
    this.#from = ask.task_id === null ? el('span', { text: 'A program' }) : el('a', { href: hashOf(ask.task_id), class: 'ask-task' });
    this.#answers = ask.kind === 'choice' ? this.#options(question) : this.#form(question);
    this.item = el('li', { class: 'ask', tabindex: -1, 'aria-labelledby': question },
      el('p', { class: 'ask-from' }, el('bdi', {}, this.#from), ' ', this.#asks, ' ', this.#left),
      el('h3', { id: question, class: 'ask-question', text: visible(ask.question) }),
      ...detailsOf(ask), this.#answers, this.#problem, this.#outcome);
    this.item.dataset.ask = ask.ask_id;
  }

  /** @param {AskEntry} entry @param {string} title of its task @param {number} now ms */
  fill({ ask, outcome, sent, problem }, title, now) {
    if (ask.task_id !== null) setText(this.#from, title);
    const left = Date.parse(ask.expires_at) - now;
    setText(this.#left, outcome !== null ? '' : sent !== null ? '· your answer is being sent' : `· ${timeLeft(left)}`);
    this.#left.classList.toggle('soon', outcome === null && left < SOON_MS);
    if (this.item.hasAttribute('data-sending') !== (sent !== null)) {
      this.item.toggleAttribute('data-sending', sent !== null);
      for (const button of this.#answers.querySelectorAll('button')) button.setAttribute('aria-disabled', String(sent !== null));
    }
    if (outcome === null) this.#report(this.#fault || problem);
    else this.#end(outcomeWords(outcome, now), outcome.state);
  }

  /** The option with this number, from 1; nothing for a text. @param {number} number */
  choose(number) {
    const option = this.ask.kind === 'choice' ? this.ask.options[number - 1] : undefined;
    if (option !== undefined && !this.#over) this.#answer(this.ask, option);
  }

  /** @param {string} problem */
  #report(problem) {
    setText(this.#problem, problem);
    this.#problem.hidden = problem === '';
  }

  /** @param {string} words @param {string} state */
  #end(words, state) {
    setText(this.#outcome, words);
    if (this.#over) return;
    this.#over = true;
    setText(this.#asks, 'asked');
    const focused = document.activeElement;
    if (this.item.contains(focused) && focused !== this.#from) this.item.focus({ preventScroll: true }); // it stays here: the next question is not answered by the same key
    this.item.dataset.state = state;
    this.#answers.remove();
    this.#report('');
    this.#outcome.hidden = false;
  }

  /** @param {string} question the id of its element */
  #options(question) {
    const buttons = this.ask.options.map((option, at) => el('button', {
      type: 'button', class: 'quiet ask-option', 'aria-keyshortcuts': String((at + 1) % 10), onclick: () => this.choose(at + 1),
    }, el('kbd', { 'aria-hidden': 'true', text: String((at + 1) % 10) }), el('bdi', { text: visible(option) })));
    return el('div', { class: 'ask-answers', role: 'group', 'aria-labelledby': question }, ...buttons);
  }

  /** @param {string} question the id of its element */
  #form(question) {
    const field = el('textarea', { rows: 1, autocomplete: 'off', spellcheck: 'false', placeholder: 'Your answer', 'aria-labelledby': question });
    const form = el('form', { class: 'ask-answers' }, field, el('button', { type: 'submit', class: 'quiet ask-send', text: 'Send' }));
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#fault = answerFault(field.value);
      this.#report(this.#fault);
      if (this.#fault === '') this.#answer(this.ask, field.value);
      else field.focus();
    });
    field.addEventListener('input', () => { this.#fault = ''; });
    field.addEventListener('keydown', (event) => {
      // a phone's keyboard has no Shift+Enter, so there Enter begins a line
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing || !matchMedia('(hover: hover)').matches) return;
      event.preventDefault();
      if (!event.repeat) form.requestSubmit();
    });
    return form;
  }
}

/** @param {Ask} ask @returns {HTMLElement[]} */
function detailsOf({ details }) {
  const text = detailsText(details);
  if (text === '') return [];
  const lines = foldedLines(text);
  const shown = el('pre', { class: 'ask-details', text, tabindex: 0, role: 'group', 'aria-label': 'Details' }); // it may scroll
  return lines === 0 ? [shown] : [el('details', { class: 'ask-fold' }, el('summary', { text: lines === 1 ? 'Details' : `Details (${lines.toLocaleString()} lines)` }), shown)];
}

/** Moves the focus to a card. @param {AskCard} card */
export function focusCard(card) {
  card.item.focus();
  card.item.scrollIntoView({ block: 'nearest' });
}
