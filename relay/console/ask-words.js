/** The words for an ask: its time, its details, what became of it. Pure: no document, no clock. */

import { jsonText } from './event-lines.js';
import { visible } from './visible-text.js';

/** @typedef {import('./ask-list.js').Outcome} Outcome */

const MAX_ANSWER = 2_000; // characters of a text, as the server counts them
const MAX_QUOTED = 80; // characters of an answer that are repeated
const FORBIDDEN = /[\u0000-\u0009\u000b\u000c\u000e-\u001f\u007f-\u009f]/;
const LONG_LINES = 8;
const LONG_CHARS = 600;

/** @param {number} milliseconds that are left */
export function timeLeft(milliseconds) {
  const seconds = Math.floor(milliseconds / 1000);
  if (seconds <= 0) return 'its time is over';
  if (seconds < 60) return `expires in ${seconds} s`;
  if (seconds < 90 * 60) return `expires in ${Math.floor(seconds / 60)} min`;
  if (seconds < 36 * 3600) return `expires in ${Math.floor(seconds / 3600)} h`;
  return `expires in ${Math.floor(seconds / 86_400)} days`;
}

/** The details as text, '' without any: a string as it is, anything else as JSON. @param {unknown} details */
export function detailsText(details) {
  if (details === null || details === undefined) return '';
  return visible(typeof details === 'string' ? details.replace(/\r\n?/g, '\n') : jsonText(details, 2));
}

/** How many lines a text has that is too long to be shown at once; 0: it is short. @param {string} text */
export function foldedLines(text) {
  const lines = text.split('\n').length;
  return lines > LONG_LINES || text.length > LONG_CHARS ? lines : 0;
}

/** Why a text is no answer, '' if it is one. @param {string} text */
export function answerFault(text) {
  if (text.trim() === '') return 'Write an answer first.';
  if ([...text].length > MAX_ANSWER) return `An answer has ${MAX_ANSWER.toLocaleString()} characters at most.`;
  return FORBIDDEN.test(text) ? 'An answer has no control characters, such as tabs.' : '';
}

/** What became of an ask. @param {Outcome} outcome @param {number} now ms @returns {string} */
export function outcomeWords({ state, answer, by, late, at }, now) {
  const ago = secondsAgo((now - at) / 1000);
  if (state === 'answered') {
    const words = quoted(answer ?? '');
    if (by === 'here') return `You answered ${words}, ${ago}.`;
    if (late) return `${words} was answered first, in another window or on another device. Your answer does not count.`;
    return by === 'elsewhere' ? `Answered ${words} in another window or on another device, ${ago}.` : `Answered ${words}, ${ago}.`;
  }
  if (state === 'gone') return `This question is no longer open.${late ? ' Your answer does not count.' : ''}`;
  if (late) return `This question ${state === 'expired' ? 'expired' : 'was withdrawn'} before your answer arrived. Your answer does not count.`;
  return state === 'expired' ? `Expired without an answer, ${ago}.` : `Withdrawn ${ago}: its program no longer asks, or its task has ended.`;
}

/** @param {number} seconds */
function secondsAgo(seconds) {
  if (seconds < 1) return 'just now';
  return seconds < 60 ? `${Math.floor(seconds)} s ago` : `${Math.floor(seconds / 60)} min ago`;
}

/** @param {string} answer */
function quoted(answer) {
  const letters = [...visible(answer).replace(/\s+/g, ' ').trim()];
  return `“${letters.length > MAX_QUOTED ? `${letters.slice(0, MAX_QUOTED).join('')}…` : letters.join('')}”`;
}

/** Why an answer was not taken, for an ask that may still be open. @param {import('./api.js').Problem} problem */
export function refusalWords({ status, code, message, retryAfter }) {
  if (isUncertain(status)) return 'Relay does not answer, so it is not known whether your answer has arrived. You can answer again: only the first answer counts.';
  if (code === 'changed') return 'The question has changed, so your answer was not taken. Read it again before you answer.';
  if (status === 429) return `Too many answers in a short time. Answer again in ${Math.max(1, retryAfter)} s.`;
  return `Your answer was not taken: ${message}`;
}

/** Whether a request may have arrived although it has no answer. @param {number} status */
export const isUncertain = (status) => status === 0 || status >= 500;
