// node --test tests/browser/node/
// The service worker, run with stand-ins for what a browser gives it.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { createContext, runInContext } from 'node:vm';

const SCRIPT = readFileSync(new URL('../../../relay/console/service-worker.js', import.meta.url), 'utf-8');
const PAGE = 'https://relay.example/';
const PUSHED = {
  id: 'msg_1', type: 'task.failed', timestamp: '2026-01-31T12:00:00Z', title: 'make test failed', body: 'Exit code 2 after 42 s',
  tag: 'relay build-7 3', task_id: 'build-7', always: false,
};
const ASK = {
  ...PUSHED, id: 'msg_2', type: 'task.waiting', title: 'deploy waits for you', body: 'Deploy?', tag: 'relay ask a1',
  ask: { ask_id: 'a1', question_hash: 'h1', options: ['yes', 'no'] },
};

/** A refusal as Relay makes it. @param {number} status @param {string} code */
const refusal = (status, code) => [status, { type: `urn:relay:problem:${code}`, status, code }];

/** A browser with pages at these addresses and the answers in their order; [0] is none, one without a body is a proxy's page. */
function browser({ pages = [], answers = [], endpoint = 'https://push.example/1', locks } = {}) {
  const handlers = new Map();
  const seen = { shown: [], opened: [], posted: [], focused: [], requests: [], subscribed: [] };
  const clients = pages.map(({ url = PAGE, visibilityState = 'hidden', refusesFocus = false }) => ({
    url, visibilityState,
    postMessage: (message) => seen.posted.push([url, JSON.parse(JSON.stringify(message))]),
    focus: async () => { if (refusesFocus) throw new Error('not allowed'); seen.focused.push(url); },
  }));
  const registration = {
    scope: PAGE,
    showNotification: async (title, options) => { seen.shown.push(JSON.parse(JSON.stringify({ title, ...options }))); },
    getNotifications: async ({ tag }) => seen.shown.filter((one) => one.tag === tag),
    pushManager: {
      getSubscription: async () => (endpoint ? { endpoint } : null),
      subscribe: async (options) => { seen.subscribed.push(options); return { endpoint: 'https://push.example/2' }; },
    },
  };
  const self = {
    registration, navigator: { locks }, skipWaiting() {},
    addEventListener: (name, handler) => handlers.set(name, handler),
    clients: { matchAll: async () => clients, openWindow: async (url) => seen.opened.push(url) },
  };
  const fetch = async (url, { method, body, credentials }) => {
    seen.requests.push([method, String(url), body ? JSON.parse(body) : undefined, credentials]);
    const [status, answer] = answers.shift() ?? [0];
    if (status === 0) throw new TypeError('no network');
    return answer === undefined ? new Response('<html>', { status }) : Response.json(answer, { status });
  };
  const soon = (call) => { queueMicrotask(call); };
  runInContext(SCRIPT, createContext({ self, fetch, URL, URLSearchParams, AbortSignal, TextEncoder, crypto, setTimeout: soon, console }));
  const dispatch = async (name, event) => {
    let done;
    handlers.get(name)({ ...event, waitUntil: (promise) => { done = promise; } });
    await done;
    return seen;
  };
  return {
    push: (data) => dispatch('push', { data: data === null ? null : { json: () => JSON.parse(data) } }),
    click: (data, action = '') => dispatch('notificationclick', { action, notification: { data, close: () => { seen.closed = true; } } }),
    renew: (event) => dispatch('pushsubscriptionchange', event),
  };
}

test('a message is shown, with its options as two buttons at most', async () => {
  const { shown: [failed] } = await browser().push(JSON.stringify(PUSHED));
  assert.deepEqual([failed.title, failed.body, failed.tag, failed.actions], ['make test failed', 'Exit code 2 after 42 s', 'relay build-7 3', []]);
  assert.deepEqual([failed.icon, failed.badge, failed.timestamp, failed.renotify, failed.requireInteraction], [`${PAGE}console/icon-192.png`, `${PAGE}console/badge.png`, Date.parse(PUSHED.timestamp), true, false]);
  const { shown: [asked] } = await browser().push(JSON.stringify({ ...ASK, ask: { ...ASK.ask, options: ['a', 'b', 'c'] } }));
  assert.deepEqual([asked.actions, asked.requireInteraction], [[{ action: 'answer-0', title: 'a' }, { action: 'answer-1', title: 'b' }], true]);
});

test('beside a page that is looked at it is silent, but for a test, or where all is wanted, or where silence ends the subscription', async () => {
  const watched = { pages: [{ visibilityState: 'visible' }] };
  const count = async (how, pushed) => (await browser(how).push(JSON.stringify(pushed))).shown.length;
  assert.equal(await count(watched, PUSHED), 0);
  assert.equal(await count(watched, { ...PUSHED, always: true }), 1);
  assert.equal(await count({ pages: [{}] }, PUSHED), 1);
  assert.equal(await count({ pages: [{ url: `${PAGE}docs`, visibilityState: 'visible' }] }, PUSHED), 1);
  assert.equal(await count({ ...watched, endpoint: 'https://web.push.apple.com/x' }, PUSHED), 1);
  assert.equal(await count({ ...watched, endpoint: 'https://push.apple.com.example/x' }, PUSHED), 0);
});

test('what comes twice makes a sound once', async () => {
  const one = browser();
  await one.push(JSON.stringify(PUSHED));
  const { shown } = await one.push(JSON.stringify(PUSHED));
  assert.deepEqual(shown.map(({ renotify, silent }) => [renotify, silent]), [[true, false], [false, true]]);
});

test('what cannot be read is shown all the same: browsers demand it', async () => {
  for (const data of [null, 'x', '{}', 'null', '{"title": "T", "tag": ""}']) {
    const { shown } = await browser().push(data);
    assert.deepEqual(shown.map(({ title, body }) => [title, body]), [['Relay', 'Something needs a look. Open Relay to see it.']], data);
  }
});

test('a press shows the task: on the page that is looked at, on another one, or on a new one', async () => {
  const open = { type: 'relay.open', task: 'build-7', ask: null };
  let seen = await browser({ pages: [{ url: `${PAGE}#a` }, { url: `${PAGE}#b`, visibilityState: 'visible' }, { url: `${PAGE}docs` }] }).click(PUSHED);
  assert.deepEqual([seen.posted, seen.focused, seen.opened, seen.closed], [[[`${PAGE}#b`, open]], [`${PAGE}#b`], [], true]);
  seen = await browser({ pages: [{ refusesFocus: true }] }).click(ASK);
  assert.deepEqual([seen.posted, seen.requests], [[[PAGE, { ...open, ask: 'a1' }]], []]);
  seen = await browser({ pages: [{ url: `${PAGE}docs`, visibilityState: 'visible' }] }).click({ ...PUSHED, task_id: 'a+b&c#%' });
  assert.deepEqual(seen.opened, [`${PAGE}#task=a%2Bb%26c%23%25`]);
  seen = await browser().click({ ...PUSHED, task_id: null });
  assert.deepEqual(seen.opened, [PAGE]);
});

test('a button answers, with what was shown and the session of the browser', async () => {
  const seen = await browser({ answers: [[200, { ok: true }]] }).click(ASK, 'answer-1');
  assert.deepEqual(seen.requests, [['POST', `${PAGE}api/asks/a1/answer`, { answer: 'no', question_hash: 'h1' }, 'same-origin']]);
  assert.deepEqual([seen.shown, seen.opened, seen.closed], [[], [], true]);
});

test('an answer is sent again while there is no network, and counts once', async () => {
  const lost = [[0], [503], refusal(409, 'already_answered'), [200, { answer: 'yes' }]]; // the reply to the first was lost
  const seen = await browser({ answers: lost }).click(ASK, 'answer-0');
  assert.deepEqual([seen.requests.map(([method]) => method), seen.shown], [['POST', 'POST', 'POST', 'GET'], []]);
});

test('a page of a proxy is no answer to an answer: it is sent again, and no end is made up', async () => {
  for (const status of [200, 401, 403, 404, 410, 429, 502]) {
    const away = await browser({ answers: [[status], [status], [status]] }).click(ASK, 'answer-0');
    assert.deepEqual([away.requests.length, away.shown.map(({ body }) => body)], [3, ['It did not reach Relay. Open Relay to answer. deploy waits for you']], String(status));
    const back = await browser({ answers: [[status], [200, { ok: true }]] }).click(ASK, 'answer-0');
    assert.deepEqual([back.requests.length, back.shown], [2, []], String(status));
  }
  const first = await browser({ answers: [refusal(409, 'already_answered'), [404], [200, { answer: 'no' }]] }).click(ASK, 'answer-0');
  assert.equal(first.shown[0].body, '“no” was answered first. deploy waits for you');
});

test('an answer that does not count is said to be none, and can be looked at', async () => {
  for (const [answers, words] of [
    [[refusal(409, 'already_answered'), [200, { answer: 'no' }]], '“no” was answered first. deploy waits for you'],
    [[refusal(409, 'already_answered'), refusal(404, 'not_found')], 'Another answer came first. deploy waits for you'],
    [[refusal(409, 'changed')], 'The question has changed. Open Relay to answer it. deploy waits for you'],
    [[refusal(410, 'ask_over')], 'The question has ended without an answer. deploy waits for you'],
    [[refusal(401, 'invalid_token')], 'This browser is no longer connected to Relay. Open Relay to connect it. deploy waits for you'],
    [[[0], [0], [500]], 'It did not reach Relay. Open Relay to answer. deploy waits for you'],
  ]) {
    const { shown } = await browser({ answers }).click(ASK, 'answer-0');
    assert.deepEqual(shown.map(({ title, body, tag, actions }) => [title, body, tag, actions]), [['Your answer does not count', words, 'relay ask a1', []]]);
    assert.deepEqual([shown[0].data.task_id, shown[0].data.ask], ['build-7', null]);
  }
});

const id = (endpoint) => createHash('sha256').update(endpoint).digest('hex');
const RULES = { on: ['failed'], min_duration_s: 0, unless_watched: false, message: true };
const OLD = { channel_id: 'c1', kind: 'webpush', shown: { subscription_id: id('https://push.example/1') }, this_session: false, ended_at: null, ...RULES };
const CHAT = { channel_id: 'c0', kind: 'slack', shown: {}, this_session: true, ended_at: null };
const oldSubscription = { endpoint: 'https://push.example/1', options: { applicationServerKey: 'key' } };
const renewed = (replaces) => ['POST', `${PAGE}api/channels`, { kind: 'webpush', subscription: { endpoint: 'https://push.example/2' }, replaces, ...RULES }];
const requests = (seen) => seen.requests.map(([method, url, body]) => (body ? [method, url, body] : [method, url]));

test('a subscription that the browser has replaced goes on as the same channel, in one call', async () => {
  const seen = await browser({ answers: [[200, { channels: [CHAT, OLD] }], [200, { channel_id: 'c1' }]] }).renew({ oldSubscription });
  assert.deepEqual(requests(seen), [['GET', `${PAGE}api/channels`], renewed(OLD.shown.subscription_id)]);
  assert.equal(seen.subscribed[0].applicationServerKey, 'key');
});

test('a subscription that a page was faster to renew stays', async () => {
  const channels = [{ ...OLD, shown: { subscription_id: id('https://push.example/2') } }];
  const seen = await browser({ endpoint: 'https://push.example/2', answers: [[200, { channels }]] }).renew({ oldSubscription });
  assert.deepEqual([seen.requests.length, seen.subscribed], [1, []]);
});

test('a renewal whose channel was replaced meanwhile looks once more, and no third time', async () => {
  const anew = { ...OLD, shown: { subscription_id: id('elsewhere') }, this_session: true };
  const answers = [[200, { channels: [OLD] }], refusal(404, 'not_found'), [200, { channels: [anew] }], refusal(404, 'not_found')];
  const seen = await browser({ endpoint: '', answers }).renew({ oldSubscription });
  assert.deepEqual(requests(seen).map(([method]) => method), ['GET', 'POST', 'GET', 'POST']);
  assert.deepEqual(requests(seen)[3], renewed(id('elsewhere')));
});

test('a renewal is made under the lock of the pages, and without it where the holder hangs', async () => {
  const answers = () => [[200, { channels: [OLD] }], [200, {}]];
  const asked = [];
  const free = { request: (name, _options, act) => { asked.push(name); return act(); } };
  const hung = { request: async (name) => { asked.push(name); throw new Error('too long'); } };
  for (const locks of [free, hung]) {
    const seen = await browser({ endpoint: '', answers: answers(), locks }).renew({ oldSubscription });
    assert.deepEqual(requests(seen)[1], renewed(OLD.shown.subscription_id));
  }
  assert.deepEqual(asked, ['relay.push', 'relay.push']);
});

test('a browser that does not say which subscription it was has that of its session', async () => {
  const other = { ...OLD, channel_id: 'c2', shown: { subscription_id: id('elsewhere') } };
  const answers = [[200, { channels: [CHAT, other, { ...OLD, this_session: true }] }], [200, { public_key: 'relay' }], [200, {}]];
  const seen = await browser({ endpoint: '', answers }).renew({});
  assert.deepEqual(requests(seen), [['GET', `${PAGE}api/channels`], ['GET', `${PAGE}api/channels/webpush/key`], renewed(OLD.shown.subscription_id)]);
  assert.equal(seen.subscribed[0].applicationServerKey, 'relay');
});

test('a renewal whose answer was lost is sent again, which replaces once', async () => {
  const seen = await browser({ answers: [[200, { channels: [OLD] }], [0], [200, {}]] }).renew({ oldSubscription });
  assert.deepEqual(requests(seen).slice(1), [renewed(OLD.shown.subscription_id), renewed(OLD.shown.subscription_id)]);
});

test('a device that its push service has ended goes on with the new subscription', async () => {
  const ended = { ...OLD, ended_at: '2026-01-31T12:00:00Z' };
  const seen = await browser({ answers: [[200, { channels: [ended] }], [200, { channel_id: 'c1' }]] }).renew({ oldSubscription });
  assert.deepEqual(requests(seen).slice(1), [renewed(OLD.shown.subscription_id)]);
});

test('a device that was removed elsewhere does not come back by itself', async () => {
  for (const channels of [[], [CHAT]]) {
    const seen = await browser({ answers: [[200, { channels }]] }).renew({ oldSubscription, newSubscription: {} });
    assert.deepEqual([seen.requests.length, seen.subscribed], [1, []]);
  }
});
