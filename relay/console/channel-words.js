/** Channels and what was sent to them, in words. Pure. */

import { ago, duration } from './times.js';

/** @typedef {import('./api.js').Channel} Channel */
/** @typedef {import('./api.js').ChannelEvent} ChannelEvent */
/** @typedef {import('./api.js').Delivery} Delivery */

/** What a person adds: the field for it, and where it is found. */
export const KINDS = /** @type {const} */ ({
  ntfy: { name: 'Phone, by ntfy', field: 'url', label: 'Address of your topic', example: 'https://ntfy.sh/a-name-that-is-hard-to-guess', hint: 'Install the ntfy app and subscribe to a topic. Whoever knows the name of a topic can read it.' },
  slack: { name: 'Slack', field: 'url', label: 'Incoming webhook', example: 'https://hooks.slack.com/services/…', hint: 'In Slack: Apps, Incoming WebHooks, Add to Slack.' },
  discord: { name: 'Discord', field: 'url', label: 'Webhook', example: 'https://discord.com/api/webhooks/…', hint: 'In Discord: Edit channel, Integrations, Webhooks, New webhook, Copy webhook URL.' },
  email: { name: 'Mail', field: 'address', label: 'Mail address', example: 'you@example.com', hint: 'A code is sent there first: only an address that you can read gets mail.' },
  webhook: { name: 'Webhook', field: 'url', label: 'Address', example: 'https://example.com/hooks/relay', hint: 'Gets a signed POST of JSON for each notification (Standard Webhooks).' },
});
/** @typedef {keyof typeof KINDS} AddedKind */

/** @type {Record<ChannelEvent, string>} */
export const EVENTS = { failed: 'it fails', lost: 'contact is lost', waiting: 'it waits for you', succeeded: 'it succeeds', canceled: 'it is canceled' };

const FIELDS = /** @type {Record<string, string>} */ ({ url: 'The address', address: 'The mail address', code: 'The code', access_token: 'The access token', on: 'What it is for' });
const OTHER_NAMES = /** @type {Record<string, string>} */ ({ webpush: 'A browser' });
/** @type {Record<string, string>} */
const OUTCOMES = { waiting: 'Waiting', delivered: 'Arrived', failed: 'Failed', watched: 'Not sent: this page was open', outdated: 'Not sent: the question was over', left_out: 'Not sent: too many waited' };

/** @param {string} kind */
export function kindName(kind) {
  if (Object.hasOwn(KINDS, kind)) return KINDS[/** @type {AddedKind} */ (kind)].name;
  return Object.hasOwn(OTHER_NAMES, kind) ? OTHER_NAMES[kind] : kind;
}

/** Where it leads, without its secrets; devices of one service are told apart by a few digits. @param {Channel} channel */
export const whereText = ({ shown: { subscription_id: device, ...rest } }) => [...Object.values(rest), ...(device ? [device.slice(0, 4)] : [])].join(' ');

/** For what it is: "When it fails, contact is lost or it waits for you." @param {Channel} channel */
export function rulesText({ on, min_duration_s: least, unless_watched: quiet }) {
  const parts = on.map((event) => (event === 'succeeded' && least > 0 ? `${EVENTS[event]} after ${duration(least, true)}` : EVENTS[event]));
  const all = parts.length > 1 ? `${parts.slice(0, -1).join(', ')} or ${parts.at(-1)}` : (parts[0] ?? 'never');
  return `When ${all}${quiet ? ', while this page is not looked at' : ''}.`;
}

/** How it went last. @param {Channel} channel @param {number} now ms @returns {{ text: string, bad: boolean }} */
export function healthText({ delivered_at: delivered, failed_at: failed, last_error: error, ended_at: ended, waiting }, now) {
  const since = (/** @type {string} */ stamp) => ago(Math.max(0, now - Date.parse(stamp)) / 1000);
  if (ended !== null) return { text: `Ended ${since(ended)}: ${error ?? 'the receiver wants no more'}. Remove it, and add it anew.`, bad: true };
  const arrived = delivered === null ? 'Nothing has arrived yet' : `Last delivery ${since(delivered)}`;
  const more = waiting > 0 ? ` ${waiting.toLocaleString()} ${waiting === 1 ? 'waits' : 'wait'}.` : '';
  if (failed === null) return { text: `${arrived}.${more}`, bad: false };
  const failing = delivered === null || failed > delivered;
  return { text: `${arrived}. Last error ${since(failed)}: ${error}.${more}`, bad: failing };
}

/** Why something was refused, with the fields by the names that a person knows. @param {{ message: string, errors: { where: string, message: string }[] }} problem */
export function refusalText({ message, errors }) {
  if (errors.length > 0) return errors.map(({ where, message: wrong }) => `${Object.hasOwn(FIELDS, where) ? FIELDS[where] : where} ${wrong}.`).join(' ');
  return message;
}

/** Whether it is over, or its first attempt has failed. @param {Delivery} delivery */
export const isDecided = ({ outcome, error }) => outcome !== 'waiting' || error !== null;

/** What became of a test. @param {Delivery} delivery @returns {{ text: string, bad: boolean }} */
export function testText({ outcome, error }) {
  if (outcome === 'delivered') return { text: 'It arrived.', bad: false };
  if (outcome === 'waiting') return { text: `It did not arrive: ${error}. Relay tries again.`, bad: true };
  return { text: `It did not arrive: ${error ?? OUTCOMES[outcome] ?? outcome}.`, bad: true };
}

/** A line of the list of deliveries. @param {Delivery} delivery @param {number} now ms */
export function deliveryText({ type, task_id: task, outcome, error, attempts, made_at: made }, now) {
  const what = `${type.replace(/^.*\./, '')}${task === null ? '' : ` ${task}`}`;
  const tries = attempts > 1 ? `, ${attempts} tries` : '';
  const why = error === null ? '' : `: ${error}`;
  return `${ago(Math.max(0, now - Date.parse(made)) / 1000)}, ${what}. ${OUTCOMES[outcome] ?? outcome}${tries}${why}.`;
}
