/** What the log shows of an ask and of its end. Pure. */

import { field } from './payload.js';
import { visible } from './visible-text.js';

/** @param {string} type @param {unknown} payload @returns {{ tone: string, text: string } | null} null: it is no event of an ask */
export function askLine(type, payload) {
  if (type === 'task_waiting') return { tone: 'asked', text: ['asks', text(payload, 'question'), options(payload)].filter(Boolean).join('  ') };
  if (type !== 'task_answered') return null;
  const state = text(payload, 'state');
  if (state === 'answered') return { tone: 'answered', text: ['answered', text(payload, 'answer')].filter(Boolean).join('  ') };
  return { tone: 'unanswered', text: state === 'expired' ? 'question expired without an answer' : 'question withdrawn' };
}

/** @param {unknown} payload @param {string} name */
function text(payload, name) {
  const value = field(payload, name);
  return typeof value === 'string' ? visible(value) : '';
}

/** @param {unknown} payload */
function options(payload) {
  const value = field(payload, 'options');
  const known = Array.isArray(value) ? value.filter((option) => typeof option === 'string') : [];
  return known.length > 0 ? `(${known.map(visible).join(' / ')})` : '';
}
