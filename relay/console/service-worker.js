/**
 * The service worker: shows what Relay pushes, opens its task, and answers a question by a button.
 * A classic script of its own, because not every browser takes a module here. It caches nothing.
 */

const PAGE = self.registration.scope;
const ICON = new URL('console/icon-192.png', PAGE).href;
const BADGE = new URL('console/badge.png', PAGE).href;
const APPLE = /(^|\.)push\.apple\.com$/; // ends subscriptions whose messages are not shown
const ANSWER_TIMEOUT_MS = 8_000;
const PROBLEM_TYPE = 'urn:relay:problem:'; // as in api.js
const LOCK = 'relay.push'; // the page's, too
const LOCK_TIMEOUT_MS = 20_000; // longer than a page takes that does not hang
const PAUSES_MS = [0, 1_000, 4_000]; // before each attempt: a phone that wakes up has no network yet
const UNREADABLE = { id: '', type: '', title: 'Relay', body: 'Something needs a look. Open Relay to see it.', tag: 'relay', task_id: null, always: true };

/** @typedef {{ ask_id: string, question_hash: string, options: string[] }} PushedAsk */
/** @typedef {{ id: string, type: string, timestamp?: string, title: string, body: string, tag: string, task_id: string | null, always: boolean, ask?: PushedAsk | null }} Pushed */

self.addEventListener('install', () => self.skipWaiting()); // it has no state that an older page could miss
self.addEventListener('push', (event) => event.waitUntil(receive(event.data)));
self.addEventListener('notificationclick', (event) => event.waitUntil(clicked(event.notification, event.action)));
self.addEventListener('pushsubscriptionchange', (event) => event.waitUntil(alone(() => renew(event))));

// ── messages ────────────────────────────────────────────────────────────────────────────────────

/** @param {PushMessageData | null} data */
async function receive(data) {
  const pushed = read(data);
  if (!pushed.always && (await isWatched()) && !(await mustShow())) return;
  const earlier = await self.registration.getNotifications({ tag: pushed.tag });
  const again = earlier.some((one) => one.data?.id === pushed.id); // delivered twice: it makes no sound again
  await notify(pushed, { renotify: !again, silent: again });
}

/** @param {PushMessageData | null} data @returns {Pushed} */
function read(data) {
  try {
    const pushed = data?.json();
    return typeof pushed?.title === 'string' && typeof pushed.tag === 'string' && pushed.tag ? pushed : UNREADABLE;
  } catch {
    return UNREADABLE; // of another version, or none of Relay's; browsers demand that something is shown
  }
}

/** @param {Pushed} pushed @param {object} [how] */
function notify(pushed, how = {}) {
  const { title, body, tag, ask, timestamp } = pushed;
  return self.registration.showNotification(title, {
    body, tag, icon: ICON, badge: BADGE, data: pushed,
    timestamp: Date.parse(timestamp ?? '') || Date.now(),
    requireInteraction: Boolean(ask), // a question stays until it is answered or put away
    actions: (ask?.options ?? []).slice(0, 2).map((option, at) => ({ action: `answer-${at}`, title: option })),
    ...how,
  });
}

/** The windows and tabs with Relay's page. */
async function pages() {
  const all = await self.clients.matchAll({ type: 'window', includeUncontrolled: true });
  return all.filter(({ url }) => new URL(url).pathname === new URL(PAGE).pathname);
}

const isWatched = async () => (await pages()).some(isVisible);

/** @param {WindowClient} page */
const isVisible = (page) => page.visibilityState === 'visible';

/** Safari ends the subscription of a site that stays silent. */
async function mustShow() {
  const subscription = await self.registration.pushManager.getSubscription();
  return subscription !== null && APPLE.test(new URL(subscription.endpoint).hostname);
}

// ── a press ─────────────────────────────────────────────────────────────────────────────────────

/** @param {Notification} notification @param {string} action */
function clicked(notification, action) {
  notification.close();
  const pushed = /** @type {Pushed} */ (notification.data ?? UNREADABLE);
  const option = pushed.ask?.options[Number(/^answer-(\d)$/.exec(action)?.[1] ?? NaN)];
  return option === undefined ? open(pushed) : answer(pushed, option);
}

/** Shows the task on a page that is open, or on a new one. @param {Pushed} pushed */
async function open({ task_id: task, ask }) {
  const [page] = (await pages()).sort((one, other) => Number(isVisible(other)) - Number(isVisible(one)));
  if (page === undefined) {
    const hash = task === null ? '' : `#${new URLSearchParams({ task })}`;
    return self.clients.openWindow(new URL(hash, PAGE).href);
  }
  page.postMessage({ type: 'relay.open', task, ask: ask?.ask_id ?? null });
  return page.focus().catch(() => undefined); // a browser may refuse it; the page shows the task all the same
}

/** @param {Pushed} pushed @param {string} option */
async function answer(pushed, option) {
  const refused = await refusalOf(/** @type {PushedAsk} */ (pushed.ask), option);
  if (refused === '') return;
  await notify({ ...pushed, title: 'Your answer does not count', body: `${refused} ${pushed.title}`, ask: null, always: true });
}

/**
 * Sends an answer. The browser adds the session's cookie and the Origin, as for the page.
 * @param {PushedAsk} ask @param {string} option @returns {Promise<string>} why it does not count, '' if it does
 */
async function refusalOf({ ask_id: id, question_hash }, option) {
  const path = `api/asks/${encodeURIComponent(id)}`;
  const { status, code } = await call('POST', `${path}/answer`, { answer: option, question_hash });
  if (status === 200) return '';
  if (code === 'already_answered') {
    const { answer: first } = await call('GET', path);
    if (first === option) return ''; // it was this answer: the reply to it was lost, or it was given elsewhere, too
    return typeof first === 'string' ? `“${first}” was answered first.` : 'Another answer came first.';
  }
  if (code === 'changed') return 'The question has changed. Open Relay to answer it.';
  if (status === 410 || status === 404) return 'The question has ended without an answer.';
  if (status === 401 || status === 403) return 'This browser is no longer connected to Relay. Open Relay to connect it.';
  return 'It did not reach Relay. Open Relay to answer.';
}

/**
 * What Relay answered; status 0: nothing, after every attempt. A page of a proxy is no answer of Relay.
 * @param {string} method @param {string} path @param {object} [body] @returns {Promise<any>}
 */
async function call(method, path, body) {
  let last = { status: 0 };
  for (const pause of PAUSES_MS) {
    if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause));
    try {
      const response = await fetch(new URL(path, PAGE), {
        method, credentials: 'same-origin', cache: 'no-store', signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
        ...(body === undefined ? {} : { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) }),
      });
      const found = await response.json(); // a page of a proxy is no JSON
      last = isOfRelay(found, response) ? { ...found, status: response.status } : { status: 0 };
      if (last.status !== 0 && last.status < 500 && last.status !== 429) break;
    } catch {
      last = { status: 0 };
    }
  }
  return last;
}

/** @param {any} found the body @param {Response} response */
const isOfRelay = (found, { ok, status }) => ok || (found?.status === status && String(found.type).startsWith(PROBLEM_TYPE));

// ── subscriptions ───────────────────────────────────────────────────────────────────────────────

/** Waits until no page is renewing it, either: see push-device.js. @param {() => Promise<void>} act */
async function alone(act) {
  if (!self.navigator?.locks) return act();
  let held = false;
  try {
    await self.navigator.locks.request(LOCK, { signal: AbortSignal.timeout(LOCK_TIMEOUT_MS) }, () => { held = true; return act(); });
  } catch (failure) {
    if (held) throw failure;
    await act();
  }
}

/**
 * The browser has replaced the subscription, or has dropped it: its channel goes on with the new one. Not every browser says which
 * one it was; then it is that of this session. @param {any} event @param {boolean} [again] another device had replaced the channel
 */
async function renew({ oldSubscription, newSubscription }, again = false) {
  const { channels } = await call('GET', 'api/channels');
  const devices = (channels ?? []).filter((/** @type {any} */ { kind }) => kind === 'webpush'); // also one that a push service has ended
  const id = oldSubscription ? await idOf(oldSubscription.endpoint) : null;
  const old = devices.find((/** @type {any} */ { shown }) => shown.subscription_id === id) ?? devices.find((/** @type {any} */ { this_session: own }) => own);
  if (old === undefined) return; // the bell was turned off elsewhere
  const present = await self.registration.pushManager.getSubscription();
  const known = present && (await idOf(present.endpoint));
  if (known !== id && devices.some((/** @type {any} */ { shown, ended_at: end }) => shown.subscription_id === known && end === null)) return; // a page was faster
  const subscription = newSubscription ?? (await subscribe(oldSubscription?.options.applicationServerKey));
  const { on, min_duration_s, unless_watched, message, shown: { subscription_id: replaces } } = old;
  const { status } = await call('POST', 'api/channels', { kind: 'webpush', subscription, replaces, on, min_duration_s, unless_watched, message });
  if (status === 404 && !again) await renew({ oldSubscription, newSubscription }, true);
}

/** @param {ArrayBuffer | undefined} key of the subscription before; Relay knows its own */
async function subscribe(key) {
  const applicationServerKey = key ?? (await call('GET', 'api/channels/webpush/key')).public_key;
  return self.registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey });
}

/** How Relay names a subscription: the hash of its address, which stays secret. @param {string} endpoint */
async function idOf(endpoint) {
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(endpoint));
  return Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
