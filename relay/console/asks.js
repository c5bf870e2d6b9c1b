/** The questions of programs, above the board: read once, kept up to date by the stream, answered by a press or a key. */

import { Problem, answerAsk, getAsk, getMe, getOpenAsks } from './api.js';
import { announce } from './announcer.js';
import { AskCard, focusCard } from './ask-card.js';
import { AskList } from './ask-list.js';
import { isUncertain, outcomeWords, refusalWords } from './ask-words.js';
import { byId, setText } from './dom.js';
import { hasModifier, isWriting } from './keys.js';
import { parseCursor } from './relay-stream.js';
import { visible } from './visible-text.js';

/** @typedef {import('./ask-list.js').Ask} Ask */
/** @typedef {import('./ask-list.js').AskEntry} AskEntry */
/** @typedef {import('./relay-stream.d.ts').RelayEvent} RelayEvent */
/** @typedef {{ titleOf: (task: string) => string, hashOf: (task: string) => string, asked: (ask: Ask, title: string) => void, over: (ask: Ask) => void }} Page */

const SETTLED_AFTER_MS = 600; // longer than a double press takes
const [FIRST_RETRY_MS, LAST_RETRY_MS] = [2_000, 60_000];
const FINAL = new Set([401, 403, 404]); // this session may not read asks, or this Relay has none

export class Asks {
  #section = byId('asks');
  #list = byId('ask-cards');
  #asks = new AskList();
  #page;
  /** @type {Map<string, AskCard>} */ #cards = new Map();
  /** @type {Set<string>} */ #announced = new Set(); // open asks that a notification was made for
  #reading = false;
  #again = false; // read once more
  #retryMs = FIRST_RETRY_MS;
  #retry = 0;
  #settling = 0;

  /** @param {Page} page */
  constructor(page) {
    this.#page = page;
    this.#list.addEventListener('keydown', (event) => this.#keyed(event));
    document.addEventListener('keydown', (event) => this.#sought(event));
    const moved = new ResizeObserver(() => this.#settle());
    for (const element of [this.#list, byId('notice')]) moved.observe(element);
  }

  /** What was asked up to this seq is read; later asks come by the stream. @param {number} seq */
  begin(seq) {
    this.#asks.begin(seq);
    this.read();
  }

  /** The stream was numbered anew, so all its events come again. */
  async renumber() {
    this.#asks.begin(Number.MAX_SAFE_INTEGER); // until its end is known
    const me = await getMe().catch(() => null);
    this.begin(parseCursor(me?.cursor ?? '')?.seq ?? 0);
  }

  /** @param {RelayEvent} event */
  heard(event) {
    const entry = this.#asks.heard(event, Date.now());
    if (entry !== null) this.#announce(entry);
  }

  /** Leads to a question, if it is still here. @param {string} id */
  focus(id) {
    this.draw(Date.now());
    const card = this.#cards.get(id);
    if (card) focusCard(card);
  }

  /** Open asks of no task that waits on the board, which the board does not count. @param {import('./relay-stream.d.ts').RelayTasks} tasks */
  besides(tasks) {
    return this.#asks.open().filter(({ ask }) => ask.task_id === null || tasks.get(ask.task_id)?.state !== 'waiting').length;
  }

  /** Reads the open asks; tries again until it has them. */
  async read() {
    this.#again = this.#reading;
    if (this.#reading) return;
    this.#reading = true;
    const known = new Set(this.#asks.open().map(({ ask }) => ask.ask_id));
    try {
      const { asks } = await getOpenAsks();
      this.#asks.replace(asks, known, Date.now());
      for (const { ask_id: id } of asks) if (this.#asks.get(id)) this.#announced.add(id); // no notification of what was there before
      this.#retryMs = FIRST_RETRY_MS;
      this.#remark('');
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (!FINAL.has(problem.status)) this.#readLater(problem);
    } finally {
      this.#reading = false;
    }
    this.draw(Date.now());
    if (this.#again) this.read();
  }

  /** @param {number} now ms */
  draw(now) {
    this.#asks.forget(now, (id) => this.#cards.get(id)?.item.contains(document.activeElement) ?? false);
    const entries = this.#asks.entries();
    this.#place(entries);
    for (const entry of entries) {
      const { ask } = entry;
      const title = ask.task_id === null ? '' : this.#page.titleOf(ask.task_id);
      this.#cards.get(ask.ask_id)?.fill(entry, title, now);
      if (entry.outcome === null) this.#notify(ask, title);
      else if (this.#announced.delete(ask.ask_id)) this.#page.over(ask);
    }
    const open = entries.filter(({ outcome }) => outcome === null).length;
    setText(byId('asks-title'), open === 0 ? 'Questions' : open === 1 ? '1 question needs you' : `${open} questions need you`);
    this.#section.hidden = entries.length === 0 && byId('asks-remark').textContent === '';
  }

  // ── cards ───────────────────────────────────────────────────────────────────────────────────

  /** One card an entry, in their order. @param {AskEntry[]} entries */
  #place(entries) {
    const before = new Set(this.#cards.values());
    entries.forEach(({ ask }, at) => {
      let card = this.#cards.get(ask.ask_id);
      if (card?.ask !== ask) {
        card?.item.remove();
        card = new AskCard(ask, { answer: (shown, answer) => this.#answer(shown, answer), hashOf: this.#page.hashOf });
        this.#cards.set(ask.ask_id, card);
        this.#settle();
      }
      before.delete(card);
      if (this.#list.children[at] !== card.item) this.#list.insertBefore(card.item, this.#list.children[at] ?? null);
    });
    for (const card of before) {
      card.item.remove();
      if (this.#cards.get(card.ask.ask_id) === card) this.#cards.delete(card.ask.ask_id);
      this.#settle();
    }
  }

  /** What has just moved takes no press: it would be meant for what was there before. Keys go on. */
  #settle() {
    this.#section.classList.add('settling');
    clearTimeout(this.#settling);
    this.#settling = window.setTimeout(() => this.#section.classList.remove('settling'), SETTLED_AFTER_MS);
  }

  /** @param {Ask} ask @param {string} title */
  #notify(ask, title) {
    if (this.#announced.has(ask.ask_id)) return;
    this.#announced.add(ask.ask_id);
    this.#page.asked(ask, title);
  }

  /** For screen readers. @param {AskEntry} entry */
  #announce({ ask, outcome }) {
    announce(outcome === null ? `A question: ${visible(ask.question)}` : outcomeWords(outcome, outcome.at));
  }

  // ── answers ─────────────────────────────────────────────────────────────────────────────────

  /** @param {Ask} shown what the person saw @param {string} answer */
  async #answer(shown, answer) {
    const { ask_id: id } = shown;
    const entry = this.#asks.get(id);
    if (!entry || entry.outcome !== null || entry.sent !== null) return;
    this.#asks.sending(id, answer);
    this.draw(Date.now());
    try {
      await answerAsk(id, answer, shown.question_hash);
      this.#asks.accepted(id, Date.now());
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      await this.#refused(id, problem);
    }
    if (entry.outcome !== null) this.#announce(entry);
    this.draw(Date.now());
  }

  /** @param {string} id @param {Problem} problem */
  async #refused(id, problem) {
    const late = problem.code === 'already_answered' || problem.status === 410 || problem.status === 404;
    const read = late || problem.code === 'changed' ? await getAsk(id).catch(() => null) : null;
    if (late || (read !== null && read.state !== 'open')) this.#asks.tooLate(id, read, Date.now());
    else if (read !== null) this.#asks.changed(read, refusalWords(problem));
    else this.#asks.failed(id, refusalWords(problem), isUncertain(problem.status));
  }

  /** @param {Problem} problem */
  #readLater({ message, pause }) {
    const wait = Math.max(pause * 1000, this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, LAST_RETRY_MS);
    this.#remark(`The open questions could not be read (${message}). This page tries again.`);
    clearTimeout(this.#retry);
    this.#retry = window.setTimeout(() => this.read(), wait);
  }

  /** @param {string} words */
  #remark(words) {
    setText(byId('asks-remark'), words);
    byId('asks-remark').hidden = words === '';
  }

  // ── keys ────────────────────────────────────────────────────────────────────────────────────

  /** A number answers the question that has the focus, and no other one. @param {KeyboardEvent} event */
  #keyed(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.repeat || hasModifier(event) || target.closest('textarea') || !/^\d$/.test(event.key)) return;
    const card = this.#cards.get(target.closest('li')?.dataset.ask ?? '');
    if (!card || this.#asks.get(card.ask.ask_id)?.outcome !== null) return;
    card.choose(event.key === '0' ? 10 : Number(event.key));
    event.preventDefault();
  }

  /** `a` leads to the first open question, and from a question to the next one. @param {KeyboardEvent} event */
  #sought(event) {
    const target = event.target instanceof Element ? event.target : document.body;
    if (event.key !== 'a' || event.defaultPrevented || hasModifier(event) || document.querySelector('dialog[open]') !== null) return;
    if (isWriting(target)) return;
    const open = this.#asks.open().map(({ ask }) => this.#cards.get(ask.ask_id)).filter((card) => card !== undefined);
    if (open.length === 0) return;
    const at = open.findIndex(({ item }) => item.contains(target));
    focusCard(open[(at + 1) % open.length]);
    event.preventDefault();
  }
}
