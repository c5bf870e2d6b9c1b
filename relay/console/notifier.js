/** The bell: this device is told when a task fails, is lost, takes long to succeed, or asks. */

import { Problem } from './api.js';
import { byId, icon } from './dom.js';
import { NoPush, canPush, closeNotifications, hasWorker, isOn, needsHomeScreen, turnOff, turnOn } from './push-device.js';
import { store, stored } from './storage.js';
import { titleOf } from './task-names.js';
import { STATE_WORDS } from './task-words.js';
import { duration } from './times.js';
import { reportNow } from './visible-page.js';
import { visible } from './visible-text.js';

/** @typedef {import('./relay-stream.d.ts').RelayTask} RelayTask */
/** @typedef {import('./ask-list.js').Ask} Ask */

/**
 * How this device is told: `push`, by Relay, whether or not a page is open; `page`, by a page that is open and hidden, where
 * the browser has no push service; `off`.
 * @typedef {'push' | 'page' | 'off'} Way
 */

const KEPT_AS = 'relay.notify';
const BLOCKED = 'Your browser is blocking notifications from this page. Allow them in its settings for this site, then press the bell again.';
export const HOME_SCREEN = 'An iPhone or iPad notifies you only from the Home Screen: press Share, then Add to Home Screen. Open Relay there, connect it with a link from another device, and press the bell.';
const PAGE_ONLY = 'This browser has no push service, so it can notify you only while this page is open in the background.';
const ICON = 'console/icon-192.png';

export class Notifier {
  #button = /** @type {HTMLButtonElement} */ (byId('notify'));
  #showProblem;
  /** @type {Way} */ #way = 'off';
  /** @type {Map<string, Notification>} */ #asked = new Map();

  /** @param {(message: string) => void} showProblem */
  constructor(showProblem) {
    this.#showProblem = showProblem;
    this.#button.prepend(icon('bell'));
    this.#button.hidden = !('Notification' in window) && !needsHomeScreen();
    this.#mark(permission() === 'granted' && storedChoice() === 'page' ? 'page' : 'off');
    this.#button.addEventListener('click', () => (this.#way === 'off' ? this.turnOn() : this.#turnOff()));
  }

  /** How this device is told now. */
  get way() {
    return this.#way;
  }

  /** Whether a press of the bell can come to something. */
  get possible() {
    return needsHomeScreen() || (!this.#button.hidden && permission() !== 'denied');
  }

  /** This browser has a session: whether the device is one of its user's channels is known to Relay. */
  async begin() {
    try {
      if (await isOn(storedChoice() === 'push')) this.#set('push');
      else if (storedChoice() === 'push') this.#set('off'); // removed elsewhere
    } catch (failure) {
      if (failure instanceof NoPush) return this.#mark('off'); // a press may do more, and so may the next visit
      if (!(failure instanceof Problem)) throw failure;
      if (storedChoice() === 'push') this.#set('push'); // Relay is away for the moment, and has not forgotten the device
    }
  }

  /** Called by a press: browsers ask for the permission then and at no other time. */
  async turnOn() {
    if (needsHomeScreen()) return this.#showProblem(HOME_SCREEN);
    this.#button.disabled = true;
    try {
      const answer = await Notification.requestPermission();
      if (answer === 'denied') this.#showProblem(BLOCKED);
      if (answer === 'granted') this.#set(await this.#reached());
    } finally {
      this.#button.disabled = false;
    }
  }

  /** @returns {Promise<Way>} */
  async #reached() {
    if (!canPush()) return 'page';
    try {
      await turnOn();
      await reportNow();
      return 'push';
    } catch (failure) {
      if (failure instanceof Problem) {
        this.#showProblem(`Relay cannot notify this device: ${failure.message}`);
        return 'off';
      }
      if (!(failure instanceof NoPush)) throw failure;
      this.#showProblem(PAGE_ONLY);
      return 'page';
    }
  }

  async #turnOff() {
    const before = this.#way;
    this.#set('off');
    if (before === 'push') await turnOff();
  }

  /** How this device is told, now and on the next visit. @param {Way} way */
  #set(way) {
    this.#mark(way);
    store(KEPT_AS, way); // without a storage: off again on the next visit, unless Relay knows this device
  }

  /** @param {Way} way */
  #mark(way) {
    this.#way = way;
    this.#button.setAttribute('aria-pressed', String(way !== 'off'));
    this.#button.title = { push: 'This device is told, also when this page is closed', page: 'You are notified while this page is in the background', off: 'Tell me on this device' }[way];
  }

  // ── what a hidden page shows by itself, where it cannot be pushed to ────────────────────────

  /** @param {RelayTask} task */
  ended(task) {
    const took = task.duration_s === null ? '' : ` after ${duration(task.duration_s, false)}`;
    this.#show(titleOf(task), `${STATE_WORDS[task.state]}${took}. ${task.message ?? ''}`, `relay ${task.task_id} ${task.run}`, task.task_id);
  }

  /** A program asks; `over` takes the notification away. @param {Ask} ask @param {string} title of its task */
  asked(ask, title) {
    const note = this.#show(visible(ask.question), title, askTag(ask), ask.task_id);
    if (note) this.#asked.set(ask.ask_id, note);
  }

  /** Also what was pushed: the question has ended here or elsewhere. @param {Ask} ask */
  over(ask) {
    this.#asked.get(ask.ask_id)?.close();
    this.#asked.delete(ask.ask_id);
    closeNotifications(askTag(ask));
  }

  /** Several tabs may notify: notifications with one tag replace each other. @param {string} title @param {string} body @param {string} tag @param {string | null} task */
  #show(title, body, tag, task) {
    if (this.#way !== 'page' || !document.hidden) return null;
    try {
      const note = new Notification(title, { body, tag, icon: ICON });
      note.onclick = () => { window.focus(); note.close(); };
      return note;
    } catch {
      this.#showByWorker(title, { body, tag, icon: ICON, data: { title, tag, task_id: task } });
      return null; // phones allow notifications from service workers only
    }
  }

  /** @param {string} title @param {NotificationOptions} options */
  async #showByWorker(title, options) {
    const registration = hasWorker() ? await navigator.serviceWorker.getRegistration() : undefined;
    await registration?.showNotification(title, options);
  }
}

/** @param {Ask} ask */
const askTag = ({ ask_id: id }) => `relay ask ${id}`;

const permission = () => ('Notification' in window ? Notification.permission : 'denied');

function storedChoice() {
  const choice = stored(KEPT_AS);
  return choice === 'on' ? 'page' : choice; // of versions without push
}
