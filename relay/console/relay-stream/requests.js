/** Relay's HTTP calls, made with the page's credential: a ticket for a stream, a page of events. */

/** @typedef {import('../relay-stream.d.ts').RelayStreamOptions} Options */
/** @typedef {import('../relay-stream.d.ts').RelayEvent} RelayEvent */
/** @typedef {import('../relay-stream.d.ts').TaskCounts} TaskCounts */
/** @typedef {{ events: RelayEvent[], cursor: string, resumed: boolean, reason?: string, oldest: number }} Page */
/** @typedef {import('./transports.js').TransportName} TransportName */
/** @typedef {[name: string, value: string][]} Query */

const REQUEST_TIMEOUT_MS = 15_000;
const PROBLEM_TYPE = 'urn:relay:problem:'; // followed by the code; as in api.js
const STREAM_PATHS = { websocket: 'api/rt', sse: 'api/sse' };

/**
 * A refused HTTP call; `code` is the matching close code. Only Relay refuses a credential: a 401 or a 403 of a program in front of it may
 * pass, as what it answers instead of Relay does.
 */
export class Refusal extends Error {
  /** @param {number} status @param {number | null} retryAfter ms @param {boolean} ofRelay */
  constructor(status, retryAfter, ofRelay) {
    super(`refused with ${status}`);
    this.code = (ofRelay && { 401: 4401, 403: 4403 }[status]) || (status === 429 ? 4429 : 1011);
    this.retryAfter = retryAfter;
  }
}

/** @param {Response} response @returns {Promise<Response>} Raises Refusal. */
async function accepted(response) {
  if (response.ok) return response;
  const { status } = response;
  const seconds = Number(response.headers.get('Retry-After'));
  const problem = await response.json().catch(() => null);
  const ofRelay = problem?.status === status && String(problem.type).startsWith(PROBLEM_TYPE);
  throw new Refusal(status, seconds > 0 ? seconds * 1000 : null, ofRelay);
}

export class Requests {
  #options;
  #base;
  #expired = false; // the credential was refused: the page is asked for another

  /** @param {Options} options @throws {TypeError} for an invalid address */
  constructor(options) {
    this.#options = options;
    this.#base = new URL(options.url ?? '.', globalThis.location?.href);
    if (!this.#base.pathname.endsWith('/')) this.#base.pathname += '/';
  }

  /** Whether Relay runs on this machine: then it is reachable without a network. */
  get loopback() {
    const { hostname } = this.#base;
    return hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.');
  }

  /** Marks the credential as refused. @returns {boolean} whether the page can give another */
  expireCredential() {
    this.#expired = true;
    return this.#options.getCredential !== undefined;
  }

  /** The next request asks for the credential as the first one did. */
  forgetExpiry() {
    this.#expired = false;
  }

  /**
   * The address of a stream, with a fresh ticket if the page gives a credential.
   * @param {TransportName} transport @param {Query} start
   */
  async streamAddress(transport, start) {
    const url = this.#address(STREAM_PATHS[transport], this.#options.tasks ? [...start, ['tasks', '1']] : start);
    const headers = await this.#authorization();
    if (headers === null) return url; // the browser sends the same-origin cookie
    const ticket = this.#address('api/rt/ticket', []);
    const response = await accepted(await this.#fetch(ticket, { method: 'POST', headers, credentials: 'omit' }));
    url.searchParams.set('ticket', (await response.json()).ticket);
    return url;
  }

  /** @param {Query} start @param {number} limit events @returns {Promise<Page>} */
  async page(start, limit) {
    return this.#read('api/events', [...start, ['limit', String(limit)]]);
  }

  /** How many tasks there are in each state. @returns {Promise<TaskCounts>} */
  async taskCounts() {
    return (await this.#read('api/tasks', [['limit', '1']])).counts;
  }

  /** @param {string} path @param {Query} query */
  async #read(path, query) {
    const headers = await this.#authorization();
    const init = headers === null ? {} : { headers, credentials: /** @type {const} */ ('omit') };
    return (await accepted(await this.#fetch(this.#address(path, query), init))).json();
  }

  /** @param {string} path @param {Query} query */
  #address(path, query) {
    const url = new URL(path, this.#base);
    for (const [name, value] of query) url.searchParams.set(name, value);
    return url;
  }

  async #authorization() {
    const { getCredential } = this.#options;
    if (!getCredential) return null;
    const credential = await getCredential({ expired: this.#expired });
    this.#expired = false;
    return credential ? { Authorization: `Bearer ${credential}` } : null;
  }

  /** @param {URL} url @param {RequestInit} init */
  #fetch(url, init) {
    const send = this.#options.fetch ?? globalThis.fetch;
    return send(url, { ...init, signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) });
  }
}
