/** The footer: the state of the connection in words, and behind a press what engineers ask for. */

import { announce } from './announcer.js';
import { byId, setText } from './dom.js';

/** @typedef {import('./relay-stream.d.ts').StreamState} StreamState */
/** @typedef {import('./relay-stream.d.ts').RelayStream} RelayStream */

const HISTORY_SECONDS = 60;
const TRANSPORTS = { websocket: 'WebSocket', sse: 'SSE' };

export class StatusBar {
  #rates = new Array(HISTORY_SECONDS).fill(0);
  #count = 0;
  #announced = '';

  /** An event arrived. */
  count() {
    this.#count += 1;
  }

  /** Called once a second. @param {RelayStream | null} stream @param {number} seconds since the last call */
  tick(stream, seconds) {
    const rate = this.#count / seconds;
    this.#count = 0;
    this.#rates.push(rate);
    this.#rates.shift();
    setText(byId('rate'), `${rate < 10 && rate % 1 ? rate.toFixed(1) : Math.round(rate).toLocaleString()}/s`);
    this.#pulse();
    if (stream !== null) this.show(stream);
  }

  /** @param {RelayStream} stream */
  show(stream) {
    const { state } = stream;
    const link = byId('link');
    if (link.dataset.state !== state.state) link.dataset.state = state.state;
    const latency = stream.latency === null ? '' : `${Math.max(0, Math.round(stream.latency))} ms`;
    setText(byId('link-text'), state.state === 'live' && latency ? `Live · ${latency}` : sentence(state));
    const away = state.state === 'waiting' || state.state === 'offline';
    byId('retry').hidden = byId('meanwhile').hidden = !away;
    const transport = state.transport ? TRANSPORTS[state.transport] : '–';
    setText(byId('transport'), state.shared && !state.leader && state.transport ? `${transport}, shared` : transport);
    setText(byId('latency'), latency || '–');
    setText(byId('cursor'), short(stream.cursor));
    byId('cursor').title = stream.cursor ?? '';
    setText(byId('reconnects'), state.reconnects === 1 ? 'once' : `${state.reconnects.toLocaleString()} times`);
    this.#announce(state);
  }

  /** Announces changes for screen readers, not every attempt. @param {StreamState} state */
  #announce({ state }) {
    const spoken = { live: 'Connected.', waiting: 'Connection lost, trying again.', offline: 'You are offline.', closed: 'The stream has ended.', connecting: '' }[state];
    if (!spoken || spoken === this.#announced) return;
    if (this.#announced) announce(spoken);
    this.#announced = spoken;
  }

  #pulse() {
    const highest = Math.max(4, ...this.#rates);
    const bars = this.#rates.map((rate, at) => (rate > 0 ? `M${at * 2 + 1} 16V${(15 - (rate / highest) * 14).toFixed(1)}` : ''));
    byId('pulse').firstElementChild?.setAttribute('d', bars.join('') || 'M0 16');
  }
}

/** @param {StreamState} state */
function sentence({ state, retryAt, attempt }) {
  if (state === 'live') return 'Live';
  if (state === 'connecting') return attempt > 1 ? 'Connecting again' : 'Connecting';
  if (state === 'closed') return 'Ended';
  const seconds = Math.max(0, Math.ceil(((retryAt ?? 0) - Date.now()) / 1000));
  const when = seconds > 0 ? `trying again in ${seconds} s` : 'trying again now';
  return state === 'offline' ? `Offline, ${when}` : `Connection lost, ${when}`;
}

/** The cursor with its epoch shortened: people compare the number. @param {string | null} cursor */
function short(cursor) {
  if (cursor === null) return '–';
  const [epoch, seq] = cursor.split('.');
  return epoch.length > 8 ? `${epoch.slice(0, 6)}….${seq}` : cursor;
}
