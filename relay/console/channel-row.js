/** One channel in the list: where it leads, how it went last, a test, what was sent, and its end. */

import { getChannels, getDeliveries, removeChannel, testChannel } from './api.js';
import { deliveryText, healthText, isDecided, kindName, rulesText, testText, whereText } from './channel-words.js';
import { el } from './dom.js';

/** @typedef {import('./api.js').Channel} Channel */
/** @typedef {{ guarded: (act: () => Promise<void>) => Promise<void>, reload: () => Promise<void> }} Owner */

const LOOK_MS = 700; // between two looks whether a test has arrived
const LOOKS = 30; // 20 seconds
const SENDING = 'Sending …';
const pause = (/** @type {number} */ ms) => new Promise((done) => { setTimeout(done, ms); });

export class ChannelRow {
  #channel;
  #owner;
  #health = el('p');
  #status = el('p', { class: 'channel-test', role: 'status' });
  #sent = el('div', { class: 'channel-sent' });
  #acts = el('div', { class: 'channel-acts' });

  /** @param {Channel} channel @param {Owner} owner */
  constructor(channel, owner) {
    this.#channel = channel;
    this.#owner = owner;
    const name = `${kindName(channel.kind)} ${whereText(channel)}`.trim();
    this.element = el('li', { 'data-channel': channel.channel_id },
      el('h3', {}, kindName(channel.kind), ' ', el('bdi', { class: 'channel-where', text: whereText(channel) })),
      el('p', { class: 'channel-rules-text', text: rulesText(channel) }),
      this.#health, this.#acts, this.#status, this.#sent);
    this.#showHealth(channel);
    this.#offer(name);
  }

  /** @param {Channel} channel */
  #showHealth(channel) {
    const { text, bad } = healthText(channel, Date.now());
    this.#health.className = bad ? 'channel-health bad' : 'channel-health';
    this.#health.textContent = text;
  }

  focus() {
    this.#acts.querySelector('button')?.focus();
  }

  /** @param {string} name */
  #offer(name) {
    const { ended_at: ended } = this.#channel;
    const button = (/** @type {string} */ text, /** @type {string} */ label, /** @type {(event: Event) => void} */ onclick, kind = 'text') => el('button', { type: 'button', class: kind, text, 'aria-label': `${label} ${name}`, onclick });
    this.#acts.replaceChildren(
      ...(ended === null ? [button('Send a test', 'Send a test to', (event) => this.#test(/** @type {HTMLButtonElement} */ (event.target)), 'quiet small')] : []),
      button('What was sent', 'What was sent to', () => this.#deliveries()),
      button('Remove', 'Remove', () => this.#ask(name), 'text bad'));
  }

  /** @param {string} name */
  #ask(name) {
    const keep = el('button', { type: 'button', class: 'text', text: 'Keep', onclick: () => { this.#offer(name); this.focus(); } });
    this.#acts.replaceChildren(
      el('span', { class: 'sure', role: 'alert', text: 'Nothing is sent there any more.' }),
      el('button', { type: 'button', class: 'danger small', text: 'Remove', 'aria-label': `Yes, remove ${name}`, onclick: () => this.#owner.guarded(async () => {
        await removeChannel(this.#channel.channel_id);
        await this.#owner.reload();
      }) }), keep);
    keep.focus();
  }

  /** @param {HTMLButtonElement} button */
  #test(button) {
    button.disabled = true;
    this.#say(SENDING, false);
    return this.#owner.guarded(async () => {
      const { notification_id: id } = await testChannel(this.#channel.channel_id);
      for (let looks = 0; looks < LOOKS && this.element.isConnected; looks += 1) {
        const { deliveries } = await getDeliveries(this.#channel.channel_id);
        const found = deliveries.find((one) => one.notification_id === id);
        if (found && isDecided(found)) {
          const { text, bad } = testText(found);
          this.#say(text, bad);
          const { channels } = await getChannels(); // its last delivery is this one now
          const changed = channels.find((one) => one.channel_id === this.#channel.channel_id);
          if (changed) this.#showHealth(changed);
          return;
        }
        await pause(LOOK_MS);
      }
      this.#say('It has not arrived yet. Relay goes on trying for a day.', true);
    }).finally(() => {
      button.disabled = false;
      if (this.#status.textContent === SENDING) this.#say('', false); // it could not be sent
    });
  }

  #deliveries() {
    if (this.#sent.hasChildNodes()) return this.#sent.replaceChildren();
    return this.#owner.guarded(async () => {
      const { deliveries } = await getDeliveries(this.#channel.channel_id);
      const lines = deliveries.map((one) => el('li', { text: deliveryText(one, Date.now()) }));
      this.#sent.replaceChildren(lines.length > 0 ? el('ul', { tabindex: 0, 'aria-label': 'What was sent' }, ...lines) : el('p', { text: 'Nothing was sent in the last 7 days.' }));
    });
  }

  /** @param {string} text @param {boolean} bad */
  #say(text, bad) {
    this.#status.classList.toggle('bad', bad);
    this.#status.textContent = text;
  }
}
