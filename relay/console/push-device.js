/** This device as a channel of Web Push: the service worker, the browser's subscription, and what Relay keeps of it. */

import { Problem, addChannel, getChannels, getPushKey, removeChannel } from './api.js';
import { sha256 } from './sha256.js';

/** @typedef {import('./api.js').Channel} Channel */

const WORKER = 'service-worker.js';
const LOCK = 'relay.push'; // the worker's, too
const LOCK_TIMEOUT_MS = 20_000; // longer than a page takes that does not hang

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

/**
 * Does what reads and changes the subscription alone among all tabs and the worker: a browser has one, and two that renew it would each
 * drop the other's. Where the browser has no such lock, or its holder hangs, it is done all the same; the next visit mends the rest.
 * @template T @param {() => Promise<T>} act @returns {Promise<T>}
 */
async function alone(act) {
  if (!navigator.locks) return act();
  let held = false;
  try {
    return await navigator.locks.request(LOCK, { signal: AbortSignal.timeout(LOCK_TIMEOUT_MS) }, () => { held = true; return act(); });
  } catch (failure) {
    if (held) throw failure;
    return act();
  }
}

/** Once more, if another device has meanwhile replaced or removed what was to be replaced. @template T @param {() => Promise<T>} act */
async function afresh(act) {
  try {
    return await act();
  } catch (failure) {
    if (!(failure instanceof Problem) || failure.status !== 404) throw failure;
    return act();
  }
}

/**
 * Whether this device is a channel. Renews what has changed: the browser's subscription, Relay's keys, or this browser's session.
 * @param {boolean} wanted whether it was turned on here, and not off again @returns {Promise<boolean>}
 */
export async function isOn(wanted) {
  if (!canPush() || Notification.permission !== 'granted') return false;
  return alone(() => afresh(() => look(wanted)));
}

/** @param {boolean} wanted */
async function look(wanted) {
  const subscription = (await (await registered())?.pushManager.getSubscription()) ?? null;
  if (!subscription && !wanted) return false;
  const devices = await getDevices();
  const same = subscription && ofSubscription(devices, subscription);
  const channel = same ?? (wanted ? devices.find((one) => one.this_session) : undefined);
  if (channel === undefined) {
    await subscription?.unsubscribe(); // the subscription of another stream: whoever uses this browser now must not get its notifications
    return false;
  }
  const { public_key: key } = await getPushKey();
  if (!same || same.ended_at !== null || !same.this_session || !isOfKey(/** @type {PushSubscription} */ (subscription), key)) await renew(channel, key);
  return true;
}

/** Makes this device a channel. The permission is granted. Raises Problem, NoPush. */
export const turnOn = () => alone(() => afresh(add));

async function add() {
  const { public_key: key } = await getPushKey();
  const { pushManager } = await ready();
  const before = await pushManager.getSubscription();
  const devices = await getDevices();
  const channel = (before && ofSubscription(devices, before)) ?? devices.find((one) => one.this_session);
  if (channel) return renew(channel, key);
  await before?.unsubscribe(); // of another user: this browser has one
  const subscription = await subscribe(pushManager, key);
  try {
    await addChannel({ kind: 'webpush', subscription: subscription.toJSON() });
  } catch (problem) {
    await subscription.unsubscribe();
    throw problem;
  }
}

/** Goes on with the channel of this device, as a device of this session. @param {Channel} channel @param {string} key */
async function renew(channel, key) {
  const { pushManager } = await ready();
  let subscription = await pushManager.getSubscription();
  if (subscription && !(ofSubscription([channel], subscription) && isOfKey(subscription, key) && channel.ended_at === null)) {
    await subscription.unsubscribe(); // of other keys or of another user, or its push service has ended it
    subscription = null;
  }
  subscription ??= await subscribe(pushManager, key);
  const { on, min_duration_s, unless_watched, message, shown: { subscription_id: replaces } } = channel;
  await addChannel({ kind: 'webpush', subscription: subscription.toJSON(), replaces, on, min_duration_s, unless_watched, message });
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

/**
 * What follows in the stream of the session that has ended is not for this browser any more. Relay has removed the device with its
 * session.
 */
export const forgetDevice = () => alone(async () => {
  const subscription = await (await registered())?.pushManager?.getSubscription();
  await subscription?.unsubscribe();
});

/** This device is no channel any more, whatever Relay answers. */
export const turnOff = () => alone(remove);

async function remove() {
  const subscription = await (await registered())?.pushManager?.getSubscription();
  const devices = (await getDevices().catch(ignoreProblem)) ?? [];
  const channel = (subscription && ofSubscription(devices, subscription)) ?? devices.find((one) => one.this_session); // which the browser has dropped
  await subscription?.unsubscribe();
  if (channel) await removeChannel(channel.channel_id).catch(ignoreProblem); // its next message would find it gone
}

/**
 * The user's devices, also those that a push service has ended: these go on with a new subscription. One that a person has removed is
 * no more among them. @returns {Promise<Channel[]>}
 */
async function getDevices() {
  const { channels } = await getChannels();
  return channels.filter(({ kind }) => kind === 'webpush');
}

/** @param {Channel[]} devices @param {PushSubscription} subscription */
function ofSubscription(devices, { endpoint }) {
  const id = sha256(endpoint); // Relay shows no addresses
  return devices.find(({ shown }) => shown.subscription_id === id);
}

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
