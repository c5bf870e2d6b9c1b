/** The dialog of channels: how Relay reaches a person who is not looking at this page. */

import { Problem, addChannel, getChannels } from './api.js';
import { ChannelForm } from './channel-form.js';
import { ChannelRow } from './channel-row.js';
import { refusalText } from './channel-words.js';
import { copyText } from './copy.js';
import { fillDialog } from './dialogs.js';
import { byId, el, icon } from './dom.js';

/** The button at the top opens the dialog. */
export function installChannels() {
  const dialog = new ChannelsDialog();
  byId('open-channels').prepend(icon('send'));
  byId('open-channels').addEventListener('click', () => dialog.open());
}

class ChannelsDialog {
  #dialog = /** @type {HTMLDialogElement} */ (byId('channels'));
  #list = el('ul', { class: 'channel-list', 'aria-label': 'Your channels' });
  #none = el('p', { class: 'none', text: 'No channels yet. Add one above, and send a test.', hidden: true });
  #made = el('div');
  #problem = el('p', { class: 'problem', role: 'alert', hidden: true });
  #form = new ChannelForm((wanted) => this.#add(wanted), (act) => this.#guarded(act));

  constructor() {
    fillDialog(this.#dialog, 'Channels',
      el('p', { class: 'lede', text: 'When a task fails, ends or waits for you, and you are not looking here, Relay tells you elsewhere.' }),
      this.#form.element, this.#problem, this.#made, this.#list, this.#none);
    this.#dialog.addEventListener('close', () => {
      this.#made.replaceChildren(); // shown once
      this.#list.replaceChildren();
    });
  }

  async open() {
    this.#dialog.showModal();
    await this.#guarded(async () => { await this.#reload(); });
  }

  /** @param {() => Promise<void>} act */
  async #guarded(act) {
    this.#problem.hidden = true;
    try {
      await act();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      this.#problem.textContent = refusalText(problem);
      this.#problem.hidden = false;
    }
  }

  async #reload() {
    const { channels, kinds } = await getChannels();
    this.#form.offer(kinds);
    const owner = { guarded: (/** @type {() => Promise<void>} */ act) => this.#guarded(act), reload: async () => { await this.#reload(); } };
    const rows = channels.map((channel) => new ChannelRow(channel, owner));
    this.#list.replaceChildren(...rows.map((row) => row.element));
    this.#none.hidden = rows.length > 0;
    return rows;
  }

  /** @param {Record<string, unknown>} wanted */
  async #add(wanted) {
    const { channel_id: id, signing_secret: secret } = await addChannel(wanted);
    this.#made.replaceChildren(...(secret === undefined ? [] : [secretView(secret)]));
    const rows = await this.#reload();
    rows.find(({ element }) => element.dataset.channel === id)?.focus();
  }
}

/** @param {string} secret */
function secretView(secret) {
  const copy = el('button', { type: 'button', class: 'quiet small', text: 'Copy', onclick: async () => { copy.textContent = (await copyText(secret)) ? 'Copied' : 'Could not copy'; } });
  return el('div', { class: 'once' },
    el('span', {}, 'The receiver checks each call with this secret. It is shown once. ', el('code', { class: 'channel-secret', text: secret })), copy);
}
