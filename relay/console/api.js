/** Relay's HTTP calls as this page makes them: same origin, with the session's cookie. */

export const LONGEST_PAUSE_S = 300; // a proxy may ask for a day, and a timer of 25 days ends at once
const PROBLEM_TYPE = 'urn:relay:problem:'; // followed by the code; also in service-worker.js
const TIMEOUT_MS = 60_000; // until the last byte of an answer: a thousand events over a phone's connection take a while

/**
 * A problem document of the server (RFC 9457), or no answer of it (status 0): none, one that broke off, or a proxy's page. Where a proxy
 * answers that the same call may succeed later, its status stays.
 */
export class Problem extends Error {
  /** @param {number} status @param {string} code @param {string} detail @param {number} retryAfter seconds @param {{ where: string, message: string }[]} errors the fields that are wrong */
  constructor(status, code, detail, retryAfter = 0, errors = []) {
    super(detail);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
    this.errors = errors;
  }

  /** Seconds after which the same call is made again: as many as the answer asks for, within bounds. */
  get pause() {
    return Math.min(Math.max(1, this.retryAfter), LONGEST_PAUSE_S);
  }

  /** Whether the same call may succeed later. */
  get mayPass() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/**
 * @param {string} method @param {string} path without a leading slash, so that Relay may be served below a path
 * @param {{ body?: unknown, ndjson?: unknown[], token?: string, signal?: AbortSignal, keepalive?: boolean }} [options]
 * @returns {Promise<any>} Raises Problem.
 */
export async function call(method, path, { body, ndjson, token, signal, keepalive } = {}) {
  /** @type {Record<string, string>} */
  const headers = {};
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (ndjson) headers['Content-Type'] = 'application/x-ndjson';
  const content = ndjson ? ndjson.map((line) => JSON.stringify(line)).join('\n') : JSON.stringify(body); // of undefined: undefined
  /** @type {Response} */
  let response;
  try {
    response = await fetch(new URL(path, document.baseURI), { method, headers, body: content, signal: withDeadline(signal), keepalive });
    if (response.ok) return response.status === 204 ? null : await response.json();
  } catch (failure) {
    if (signal?.aborted) throw failure;
    throw new Problem(0, 'unreachable', 'Relay does not answer.');
  }
  const { status } = response;
  const problem = await response.json().catch(() => null);
  const retryAfter = Math.max(0, Number(response.headers.get('Retry-After')) || 0);
  if (isOfRelay(problem, status)) throw new Problem(status, problem.code, problem.detail, retryAfter, problem.errors);
  throw new Problem(status === 429 || status >= 500 ? status : 0, 'foreign', `Another program answered ${status} in place of Relay.`, retryAfter);
}

/** Whether Relay has refused, and not a program in front of it. @param {any} problem the body, if it is JSON @param {number} status */
const isOfRelay = (problem, status) => problem?.status === status && String(problem.type).startsWith(PROBLEM_TYPE);

/** @param {AbortSignal} [signal] */
function withDeadline(signal) {
  const deadline = AbortSignal.timeout(TIMEOUT_MS);
  if (signal === undefined) return deadline;
  return AbortSignal.any?.([signal, deadline]) ?? signal; // browsers before 2024 cannot wait for both
}

/** @typedef {{ token_id: string, name: string | null, scopes: string[], created_at: string, expires_at: string, last_used_at: string | null }} TokenInfo */
/** @typedef {{ user_id: string, cursor: string, connections: number, tokens: TokenInfo[] }} Me */
/** @typedef {{ token: string, token_id: string }} MadeToken */
/** @typedef {{ link: string, expires_in: number, qr: string }} NewLink */

/** @returns {Promise<Me>} */
export const getMe = () => call('GET', 'api/me');

/** @param {{ name?: string, expires_in?: number, scopes?: string[] }} wanted @returns {Promise<MadeToken>} */
export const makeToken = (wanted) => call('POST', 'api/token', { body: wanted });

/** @typedef {import('./relay-stream.d.ts').RelayTask} RelayTask */
/** @typedef {import('./relay-stream.d.ts').RelayEvent} RelayEvent */
/** @typedef {import('./relay-stream.d.ts').TaskCounts} TaskCounts */
/** @typedef {Record<string, string>} Query */
/** @typedef {{ tasks: RelayTask[], counts: TaskCounts, cursor: string, next?: string }} TasksPage */
/** @typedef {{ task_id: string, run: number, state: import('./relay-stream.d.ts').TaskState, duration_s: number | null }} TaskOutcome */
/** @typedef {{ title: string | null, parent_id: string | null, tasks: number, last_seq: number, task: RelayTask, recent: TaskOutcome[] }} TaskGroup */
/** @typedef {{ groups: TaskGroup[], counts: TaskCounts, cursor: string, next?: string }} GroupsPage */
/** @typedef {{ events: RelayEvent[], cursor: string, resumed: boolean, oldest: number }} EventsPage */

/** @param {Query} query @returns {Promise<TasksPage>} */
export const getTasks = (query) => call('GET', `api/tasks?${new URLSearchParams(query)}`);

/** @param {Query} query @returns {Promise<GroupsPage>} */
export const getGroups = (query) => call('GET', `api/tasks/groups?${new URLSearchParams(query)}`);

/** @param {Query} query @returns {Promise<EventsPage>} */
export const getEvents = (query) => call('GET', `api/events?${new URLSearchParams(query)}`);

/** Hides tasks, or shows them again; 100 at most. @param {string[]} task_ids @param {boolean} hidden */
export const hideTasks = (task_ids, hidden) => call('PATCH', 'api/tasks', { body: { task_ids, hidden } });

/** @typedef {import('./ask-list.js').Ask} Ask */

/** The asks that are open, the oldest first. @returns {Promise<{ asks: Ask[] }>} */
export const getOpenAsks = () => call('GET', 'api/asks?state=open');

/** @param {string} ask_id @returns {Promise<Ask & { state: string, answer: string | null }>} */
export const getAsk = (ask_id) => call('GET', `api/asks/${encodeURIComponent(ask_id)}`);

/** @param {string} ask_id @param {string} answer @param {string} question_hash of what was shown */
export const answerAsk = (ask_id, answer, question_hash) => call('POST', `api/asks/${encodeURIComponent(ask_id)}/answer`, { body: { answer, question_hash } });

/** The key by which push services know this Relay. @returns {Promise<{ public_key: string }>} */
export const getPushKey = () => call('GET', 'api/channels/webpush/key');

/** @param {boolean} visible @param {number} for_s seconds */
export const sayVisible = (visible, for_s) => call('POST', 'api/visible', { body: { visible, for_s }, keepalive: true });

/** Asks a run of a task to stop. @param {string} task_id @param {number} run @returns {Promise<RelayTask>} */
export const stopTask = (task_id, run) => call('POST', 'api/tasks/stop', { body: { task_id, run } });

/** A one-time link to this stream; it replaces an earlier one. @returns {Promise<NewLink>} */
export const makeLink = () => call('POST', 'api/session/link');

/** @param {string} token_id */
export const revokeToken = (token_id) => call('POST', 'api/token/revoke', { body: { token_id } });

/** Signs in as the user of the cookie, or as a new one. @returns {Promise<{ user_id: string }>} */
export async function signIn() {
  try {
    return await call('POST', 'api/user');
  } catch (problem) {
    // the same answer refuses a stale cookie and deletes it; the second request comes without
    if (problem instanceof Problem && problem.status === 401) return call('POST', 'api/user');
    throw problem;
  }
}

/** @typedef {'failed' | 'lost' | 'waiting' | 'succeeded' | 'canceled'} ChannelEvent */
/** @typedef {{ channel_id: string, kind: string, shown: Record<string, string>, on: ChannelEvent[], min_duration_s: number, unless_watched: boolean, message: boolean, this_session: boolean, created_at: string, waiting: number, delivered_at: string | null, failed_at: string | null, last_error: string | null, ended_at: string | null }} Channel */
/** @typedef {{ notification_id: string, type: string, task_id: string | null, made_at: string, outcome: string, attempts: number, status: number | null, error: string | null }} Delivery */

/** @returns {Promise<{ channels: Channel[], kinds: string[] }>} `kinds`: those that can be added at this Relay */
export const getChannels = () => call('GET', 'api/channels');

/** @param {Record<string, unknown>} wanted @returns {Promise<{ channel_id: string, signing_secret?: string }>} */
export const addChannel = (wanted) => call('POST', 'api/channels', { body: wanted });

/** Mails a code to an address, which proves that it is the user's. @param {string} address @returns {Promise<{ address: string, expires_in: number }>} */
export const mailCode = (address) => call('POST', 'api/email-code', { body: { address } });

/** @param {string} id */
export const removeChannel = (id) => call('DELETE', `api/channels/${encodeURIComponent(id)}`);

/** @param {string} id @returns {Promise<{ notification_id: string }>} */
export const testChannel = (id) => call('POST', `api/channels/${encodeURIComponent(id)}/test`);

/** @param {string} id @returns {Promise<{ deliveries: Delivery[] }>} the newest first */
export const getDeliveries = (id) => call('GET', `api/channels/${encodeURIComponent(id)}/deliveries`);
