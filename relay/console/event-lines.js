/** What an event looks like in the log. It takes any JSON as a payload. Pure. */

import { splitLines } from './ansi.js';
import { askLine } from './ask-lines.js';
import { percentText } from './number-text.js';
import { field, number } from './payload.js';

/** @typedef {import('./relay-stream.d.ts').RelayEvent} RelayEvent */
/** @typedef {'output' | 'milestone' | 'progress' | 'note'} Kind */

const MILESTONES = new Map([['task_started', 'started'], ['task_succeeded', 'succeeded'], ['task_failed', 'failed']]);
const CANCELED = 'canceled';

/** @param {RelayEvent} event @returns {{ kind: Kind, tone: string, lines: string[] }} */
export function eventLines({ event_type: type, payload }) {
  const message = textOf(payload, 'message');
  if (type === 'log') {
    const level = field(payload, 'level');
    const tone = typeof level === 'string' ? toneOf(level) : field(payload, 'stream') === 'stderr' ? 'stderr' : '';
    return { kind: 'output', tone, lines: splitLines(message || withoutMessage(payload)) };
  }
  if (type === 'task_progress') {
    return { kind: 'progress', tone: 'progress', lines: splitLines([share(payload), message].filter(Boolean).join('  ') || 'progress') };
  }
  const ask = askLine(type, payload);
  if (ask !== null) return { kind: 'milestone', tone: ask.tone, lines: splitLines(ask.text) };
  const code = textOf(payload, 'exit_code');
  const milestone = type === 'task_failed' && field(payload, 'canceled') === true ? CANCELED : MILESTONES.get(type) ?? type;
  const facts = [milestone, code && `exit ${code}`, message].filter(Boolean).join('  ');
  return { kind: 'milestone', tone: milestone, lines: splitLines(facts) };
}

/** The text of a log whose message is empty, which is a blank line, or absent. @param {unknown} payload */
function withoutMessage(payload) {
  if (typeof payload === 'string') return payload;
  return field(payload, 'message') === '' ? '' : jsonText(payload);
}

/** A field as text: a string as it is, anything else as JSON, '' without a value. @param {unknown} payload @param {string} name */
function textOf(payload, name) {
  const value = field(payload, name);
  if (value === undefined || value === null) return '';
  return typeof value === 'string' ? value : jsonText(value);
}

/** The progress in percent; what is no number from 0 to 1 is shown as it was sent. @param {unknown} payload */
function share(payload) {
  const progress = number(payload, 'progress');
  return progress !== null && progress >= 0 && progress <= 1 ? `${percentText(progress)} %` : textOf(payload, 'progress');
}

/**
 * A payload as JSON. JSON has numbers that JavaScript cannot hold: such a number is marked with ≈,
 * so that its nearest neighbour, or `null`, is not read as the number that was sent.
 * @param {unknown} value @param {number} [indent] spaces a level; without it, on one line
 */
export function jsonText(value, indent) {
  return JSON.stringify(value, (_name, part) => (typeof part === 'number' && Math.abs(part) > Number.MAX_SAFE_INTEGER ? `≈ ${part}` : part), indent);
}

/** @param {string} level */
function toneOf(level) {
  if (/^(error|err|fatal|critical)$/i.test(level)) return 'error';
  if (/^warn(ing)?$/i.test(level)) return 'warn';
  return /^(debug|trace)$/i.test(level) ? 'debug' : '';
}
