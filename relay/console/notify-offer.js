/** The offer to tell this device: once, after the first task of the user's own has ended, never before. */

import { DEMO_TASKS } from './demo.js';
import { byId, el } from './dom.js';
import { HOME_SCREEN } from './notifier.js';
import { needsHomeScreen } from './push-device.js';
import { store, stored } from './storage.js';
import { isOver } from './task-words.js';

/** @typedef {import('./relay-stream.d.ts').RelayTask} RelayTask */

const OFFERED = 'relay.offered';

export class NotifyOffer {
  #box = byId('notify-offer');
  #notifier;
  #known = false; // whether this device is told already
  #ended = false;
  #done = stored(OFFERED) !== null; // also without a storage: it would be offered on every visit

  /** @param {import('./notifier.js').Notifier} notifier */
  constructor(notifier) {
    this.#notifier = notifier;
  }

  /** It is known now whether this device is told already. */
  begin() {
    this.#known = true;
  }

  /** @param {RelayTask} task */
  heard(task) {
    this.#ended ||= isOver(task) && !task.task_id.startsWith(DEMO_TASKS);
  }

  /** Called when all else is drawn: it takes room from the board, which measures itself. */
  draw() {
    if (this.#done || !this.#known || !this.#ended || document.hidden) return;
    this.#done = true;
    if (this.#notifier.way !== 'off' || !this.#notifier.possible) return;
    store(OFFERED, 'yes');
    this.#box.replaceChildren(...(needsHomeScreen() ? this.#instruction() : this.#question()));
    this.#box.hidden = false;
  }

  #question() {
    const accept = () => {
      this.#close();
      this.#notifier.turnOn();
    };
    return [
      el('p', { text: 'Relay can tell this device when a task fails, is lost or needs you, also when this page is closed.' }),
      el('button', { type: 'button', class: 'primary small', text: 'Tell me on this device', onclick: accept }),
      el('button', { type: 'button', class: 'quiet small', text: 'Not now', title: 'The bell at the top does the same later', onclick: () => this.#close() }),
    ];
  }

  #instruction() {
    return [
      el('p', { text: HOME_SCREEN }),
      el('button', { type: 'button', class: 'quiet small', text: 'Dismiss', onclick: () => this.#close() }),
    ];
  }

  #close() {
    this.#box.hidden = true;
    byId('main').focus({ preventScroll: true });
  }
}
