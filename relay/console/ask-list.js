/** The asks of this page, the oldest first: those that are open, and what became of the others. Pure: no document, no clock. */

import { field } from './payload.js';

/** @typedef {import('./relay-stream.d.ts').RelayEvent} RelayEvent */
/** @typedef {{ ask_id: string, question: string, kind: 'choice' | 'text', options: string[], details: unknown, question_hash: string, task_id: string | null, asked_at: string, expires_at: string }} Ask */
/** @typedef {'answered' | 'expired' | 'withdrawn' | 'gone'} EndState `gone`: how it ended is not known here */
/** @typedef {{ state: EndState, answer: string | null, by: 'here' | 'elsewhere' | 'unknown', late: boolean, at: number }} Outcome `late`: an answer of this page came after it; `at` in ms */
/**
 * `sent` is an answer that is under way, `tried` one of which it is not known whether it arrived; `held` is an end with
 * the answer that is under way.
 * @typedef {{ ask: Ask, outcome: Outcome | null, sent: string | null, tried: string | null, held: Outcome | null, problem: string }} AskEntry
 */

const MOST_OPEN = 100; // as many as a server keeps open of a user
const MOST_OVER = 5; // that are still shown
const MOST_ENDED_IDS = 1_000;
export const SHOWN_AFTER_END_MS = 30_000;

export class AskList {
  /** @type {Map<string, AskEntry>} */ #entries = new Map();
  /** @type {Set<string>} */ #endedIds = new Set(); // an older answer of the server may still have them
  #since = 0; // asks of events up to this seq are in what was read

  /** @param {number} seq asks that were opened up to there are read from the server */
  begin(seq) {
    this.#since = seq;
  }

  /** @param {string} id */
  get(id) {
    return this.#entries.get(id);
  }

  /** In the order in which they are shown, which an end does not change. */
  entries() {
    return [...this.#entries.values()];
  }

  open() {
    return this.entries().filter(({ outcome }) => outcome === null);
  }

  /** The open asks as the server has them. @param {Ask[]} asks @param {Set<string>} known ids of those that were open here before they were read @param {number} now ms */
  replace(asks, known, now) {
    const read = new Set(asks.map(({ ask_id: id }) => id));
    for (const { ask } of this.open()) {
      if (known.has(ask.ask_id) && !read.has(ask.ask_id)) this.#end(ask.ask_id, { state: 'gone', answer: null, by: 'unknown', late: false, at: now });
    }
    for (const ask of asks) if (isAsk(ask)) this.#add(ask);
  }

  /** An event of the stream. @param {RelayEvent} event @param {number} now ms @returns {AskEntry | null} the ask that it changed */
  heard({ event_type: type, seq, payload }, now) {
    if (type === 'task_waiting' && seq > this.#since && isAsk(payload)) return this.#add(payload);
    if (type !== 'task_answered') return null;
    const [id, state, answer] = ['ask_id', 'state', 'answer'].map((name) => field(payload, name));
    if (typeof id !== 'string' || (state !== 'answered' && state !== 'expired' && state !== 'withdrawn')) return null;
    const given = typeof answer === 'string' ? answer : null;
    const entry = this.#entries.get(id);
    const [sent, tried] = [entry?.sent ?? null, entry?.tried ?? null];
    const by = given !== null && given === tried ? 'unknown' : 'elsewhere';
    const outcome = { state, answer: given, by, late: sent !== null, at: now };
    if (entry === undefined || given === null || given !== sent) return this.#end(id, outcome);
    entry.held = outcome; // the answer to the request says whether it was this page's
    return null;
  }

  /** An answer of this page is under way. @param {string} id @param {string} answer */
  sending(id, answer) {
    const entry = this.#entries.get(id);
    if (entry) Object.assign(entry, { sent: answer, held: null, problem: '' });
  }

  /** It counts. @param {string} id @param {number} now ms */
  accepted(id, now) {
    const answer = this.#entries.get(id)?.sent ?? null;
    return this.#end(id, { state: 'answered', answer, by: 'here', late: false, at: now });
  }

  /** It was not taken, or that is not known; the ask may still be open. @param {string} id @param {string} problem @param {boolean} uncertain */
  failed(id, problem, uncertain) {
    const entry = this.#entries.get(id);
    if (entry?.outcome !== null) return;
    const { held, sent, tried } = entry;
    Object.assign(entry, { problem, sent: null, tried: uncertain ? sent : tried });
    if (held !== null) this.#end(id, { ...held, by: uncertain ? 'unknown' : 'elsewhere', late: !uncertain });
  }

  /** It came too late: the ask as it is. @param {string} id @param {{ state: string, answer: string | null } | null} read null: the server has it no longer, or it could not be read @param {number} now ms */
  tooLate(id, read, now) {
    const entry = this.#entries.get(id);
    if (!entry) return;
    const state = read?.state === 'answered' || read?.state === 'expired' || read?.state === 'withdrawn' ? read.state : 'gone';
    const own = entry.tried !== null && (read === null || (state === 'answered' && read.answer === entry.tried)); // null: it may be
    this.#end(id, { state, answer: read?.answer ?? null, by: own ? 'unknown' : 'elsewhere', late: !own, at: now });
  }

  /** Another question stands under this id: what was shown is no longer asked. @param {Ask} ask @param {string} problem */
  changed(ask, problem) {
    const entry = this.#entries.get(ask.ask_id);
    if (entry?.outcome === null && isAsk(ask)) Object.assign(entry, { ask, problem, sent: null });
  }

  /** Lets go of asks that are over, after a while. @param {number} now ms @param {(id: string) => boolean} inUse has the focus, for example */
  forget(now, inUse) {
    const over = this.entries().filter(({ outcome }) => outcome !== null).sort((a, b) => (b.outcome?.at ?? 0) - (a.outcome?.at ?? 0));
    over.forEach(({ ask: { ask_id: id }, outcome }, place) => {
      const old = place >= MOST_OVER || now - (outcome?.at ?? 0) >= SHOWN_AFTER_END_MS;
      if (old && !inUse(id)) this.#entries.delete(id);
    });
  }

  /** @param {Ask} ask */
  #add(ask) {
    const { ask_id: id } = ask;
    if (this.#endedIds.has(id) || this.#entries.has(id)) return null;
    const entry = { ask, outcome: null, sent: null, tried: null, held: null, problem: '' };
    const all = [...this.#entries.values(), entry].sort((a, b) => Date.parse(a.ask.asked_at) - Date.parse(b.ask.asked_at));
    this.#entries = new Map(all.map((each) => [each.ask.ask_id, each]));
    const open = this.open();
    if (open.length > MOST_OPEN) this.#entries.delete(open[0].ask.ask_id);
    return entry;
  }

  /** @param {string} id @param {Outcome} outcome */
  #end(id, outcome) {
    this.#endedIds.add(id);
    if (this.#endedIds.size > MOST_ENDED_IDS) this.#endedIds.delete(`${this.#endedIds.values().next().value}`);
    const entry = this.#entries.get(id);
    if (!entry || (entry.outcome !== null && entry.outcome.state !== 'gone')) return null;
    Object.assign(entry, { outcome, sent: null, problem: '' });
    return entry;
  }
}

/** @param {unknown} value @returns {value is Ask} */
function isAsk(value) {
  const text = ['ask_id', 'question', 'question_hash', 'asked_at', 'expires_at'].every((name) => typeof field(value, name) === 'string');
  const options = field(value, 'options');
  const kind = field(value, 'kind');
  return text && (kind === 'text' || kind === 'choice') && Array.isArray(options) && options.every((option) => typeof option === 'string');
}
