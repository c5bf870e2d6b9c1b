/** This device as a channel of Web Push: the service worker, the browser's subscription, and what Relay keeps of it. */

import { Problem, call, getPushKey } from './api.js';
import { sha256 } from './sha256.js';

/** @typedef {{ channel_id: string, shown: Record<string, string>, ended_at: string | null }} Channel */

const WORKER = 'service-worker.js';

/** Whether pages here can have a service worker at all: on https and on localhost. */
export const hasWorker = () => window.isSecureContext && 'serviceWorker' in navigator;

/** Whether this browser can be reached while the page is closed. */
export const canPush = () => hasWorker() && 'PushManager' in window && 'Notification' in window;

/** On iPhones and iPads only an app on the Home Screen can be notified. */
export function needsHomeScreen() {
  const { userAgent, maxTouchPoints } = navigator;
  const apple = /iPhone|iPad|iPod/.test(userAgent) || (/Macintosh/.test(userAgent) && maxTouchPoints > 1); // an iPad says that it is a Mac
  return apple && !matchMedia('(display-mode: standalone)').matches;
}

/** This browser cannot be pushed to: no push service, or it is switched off. */
export class NoPush extends Error {}

const register = () => navigator.serviceWorker.register(WORKER);

/** Registers the worker: it shows notifications, and answers from them. Without one the page works as well. */
export async function startWorker() {
  if (!hasWorker()) return;
  try {
    await register();
  } catch (failure) {
    console.info('Relay has no service worker here:', failure); // such as with a certificate that is not trusted
  }
}

/**
 * Calls back when a notification was pressed that leads here.
 * @param {(place: { task: string | null, ask: string | null }) => void} open
 */
export function onOpened(open) {
  if (!hasWorker()) return;
  navigator.serviceWorker.addEventListener('message', ({ data }) => {
    if (data?.type === 'relay.open') open({ task: data.task, ask: data.ask });
  });
}

/** Takes away what the worker has shown under this tag. @param {string} tag */
export async function closeNotifications(tag) {
  const registration = await registered();
  for (const one of (await registration?.getNotifications({ tag })) ?? []) one.close();
}

/** @returns {Promise<ServiceWorkerRegistration | undefined>} */
const registered = async () => (hasWorker() ? navigator.serviceWorker.getRegistration() : undefined);

/** Whether this device is a channel. Renews its subscription where Relay has made new keys. @returns {Promise<boolean>} */
export async function isOn() {
  const subscription = canPush() && Notification.permission === 'granted' ? await (await registered())?.pushManager.getSubscription() : null;
  if (!subscription) return false;
  const channel = await channelOf(subscription);
  if (channel === undefined) {
    await subscription.unsubscribe(); // of a stream that was left: its notifications are not for whom sits here now
    return false;
  }
  const { public_key: key } = await getPushKey();
  if (!isOfKey(subscription, key)) {
    await turnOn();
    await remove(channel);
  }
  return true;
}

/** Makes this device a channel. The permission is granted. Raises Problem, NoPush. */
export async function turnOn() {
  const { public_key: key } = await getPushKey();
  const { pushManager } = await ready();
  const before = await pushManager.getSubscription();
  if (before) {
    if (isOfKey(before, key) && (await channelOf(before))) return;
    await before.unsubscribe(); // of other keys, or of another user: this browser has one
  }
  const subscription = await subscribe(pushManager, key);
  try {
    await call('POST', 'api/channels', { body: { kind: 'webpush', subscription: subscription.toJSON() } });
  } catch (problem) {
    await subscription.unsubscribe();
    throw problem;
  }
}

async function ready() {
  try {
    await register();
  } catch (failure) {
    throw new NoPush('', { cause: failure });
  }
  return navigator.serviceWorker.ready;
}

/** @param {PushManager} pushManager @param {string} key */
async function subscribe(pushManager, key) {
  try {
    return await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
  } catch (failure) {
    throw new NoPush('', { cause: failure });
  }
}

/** This device is no channel any more, whatever Relay answers. */
export async function turnOff() {
  const subscription = await (await registered())?.pushManager?.getSubscription();
  if (!subscription) return;
  const channel = await channelOf(subscription).catch(ignoreProblem);
  await subscription.unsubscribe();
  if (channel) await remove(channel).catch(ignoreProblem); // its next message would find it gone
}

/** The user's channel of a subscription. @param {PushSubscription} subscription */
async function channelOf({ endpoint }) {
  const id = sha256(endpoint); // Relay shows no addresses
  /** @type {{ channels: Channel[] }} */
  const { channels } = await call('GET', 'api/channels');
  return channels.find(({ shown, ended_at }) => shown.subscription_id === id && ended_at === null);
}

/** @param {Channel} channel */
const remove = ({ channel_id: id }) => call('DELETE', `api/channels/${encodeURIComponent(id)}`);

/** @param {PushSubscription} subscription @param {string} key in base64url */
function isOfKey({ options }, key) {
  const bytes = new Uint8Array(options.applicationServerKey ?? []);
  const text = btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
  return text === key;
}

/** @param {unknown} failure */
function ignoreProblem(failure) {
  if (!(failure instanceof Problem)) throw failure;
  return undefined;
}
