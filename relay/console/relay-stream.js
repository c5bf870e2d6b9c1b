/**
 * RelayStream: one user's events in the browser, in order, none twice, none missing.
 *
 *     import { RelayStream } from './relay-stream.js';
 *     const stream = new RelayStream({ url: 'https://relay.example', getCredential });
 *     stream.addEventListener('event', ({ detail }) => console.log(detail.event_type));
 *
 * WebSocket first, server-sent events where WebSockets are blocked, and back. A cursor says what
 * was seen; whatever breaks, the next connection starts there. Types: relay-stream.d.ts.
 */

/** @typedef {import('./relay-stream.d.ts').RelayStreamOptions} Options */
/** @typedef {import('./relay-stream.d.ts').RelayEvent} RelayEvent */
/** @typedef {import('./relay-stream.d.ts').StreamState} StreamState */
/** @typedef {import('./relay-stream.d.ts').Hello} Hello */
/** @typedef {import('./relay-stream.d.ts').Gap} Gap */
/** @typedef {{ type: 'close', code: number, reason?: string, retry_after_ms?: number | null }} Goodbye */
/** @typedef {{ type: 'ping', ts: string }} Ping */
/** @typedef {RelayEvent | Hello | Gap | Goodbye | Ping} Message */
/** @typedef {{ messages(line: Line, list: Message[]): void, ended(line: Line, code: number): void }} Listener */
/** @typedef {{ transport: 'websocket' | 'sse', close(): void }} Line */
/** @typedef {{ events: RelayEvent[], cursor: string, resumed: boolean, reason?: string, oldest: number }} Page */

const SUBPROTOCOL = 'relay.v1';
const FIRST_RETRY = 500; // ms; doubles up to LONGEST_RETRY, with jitter
const LONGEST_RETRY = 30_000;
const STABLE = 5_000; // ms of life after which a connection counts as good and backoff starts anew
const PATIENCE = 2.5; // heartbeats of silence before the server counts as gone: two may be late
const HELLO_WITHIN = 15_000; // ms: some proxies accept a WebSocket and never pass anything on
const CLOSE_WITHIN = 3_000;
const TRY_BACK_FIRST = 60_000; // ms on SSE before WebSocket is tried again; doubles
const TRY_BACK_SOON = 1_000; // where WebSockets worked before, the server was away, not the proxy shut
const TRY_BACK_LONGEST = 600_000;
const LEADER_ANSWERS_WITHIN = 4_000; // ms; a frozen tab keeps its lock and says nothing
const ASK_LEADER_EVERY = 15_000;
const KEPT_WHILE_CATCHING_UP = 5_000; // events; more are read again
const PAGE = 1_000;
const SAME_HOLE = 3; // times the same hole may bring us back before it is reported as a gap

/** @param {string} cursor @returns {{ epoch: string, seq: number } | null} */
export function parseCursor(cursor) {
  const match = /^([^.\s]+)\.(\d{1,16})$/.exec(cursor);
  return match ? { epoch: match[1], seq: Number(match[2]) } : null;
}

/**
 * Milliseconds to wait before attempt number `attempt` (from 1). Advice of the server is never
 * undercut; the jitter on top keeps a thousand pages from coming back as one.
 * @param {number} attempt @param {number | null} [advised] @param {() => number} [random]
 */
export function delayFor(attempt, advised = null, random = Math.random) {
  const backoff = Math.min(LONGEST_RETRY, FIRST_RETRY * 2 ** Math.max(0, attempt - 1));
  const least = advised === null ? backoff / 2 : Math.max(advised, attempt > 1 ? backoff / 2 : 0);
  return Math.round(least + (random() * backoff) / 2);
}

/** Where a reader stands in its stream, and what a new event means there. */
export class Sequence {
  /** @type {string | null} */ epoch = null;
  seq = 0;

  get cursor() {
    return this.epoch === null ? null : `${this.epoch}.${this.seq}`;
  }

  /** @param {string} cursor */
  moveTo(cursor) {
    const position = parseCursor(cursor);
    if (position !== null) ({ epoch: this.epoch, seq: this.seq } = position);
    return position !== null;
  }

  /** @param {{ seq: number, cursor: string }} event @returns {'next' | 'duplicate' | 'hole'} */
  judge(event) {
    if (this.epoch === null) return 'next';
    if (!event.cursor.startsWith(`${this.epoch}.`)) return 'hole'; // only `hello` changes the epoch
    if (event.seq <= this.seq) return 'duplicate';
    return event.seq === this.seq + 1 ? 'next' : 'hole';
  }
}

/** A refusal of an HTTP call, in the words of a close code. */
class Refusal extends Error {
  /** @param {number} status @param {number | null} retryAfter ms */
  constructor(status, retryAfter) {
    super(`refused with ${status}`);
    this.code = { 401: 4401, 403: 4403, 429: 4429 }[status] ?? 1011;
    this.retryAfter = retryAfter;
  }
}

/** @param {Response} response */
function accepted(response) {
  if (response.ok) return response;
  const seconds = Number(response.headers.get('Retry-After'));
  throw new Refusal(response.status, seconds > 0 ? seconds * 1000 : null);
}

/** @implements {Line} */
class SocketLine {
  transport = /** @type {const} */ ('websocket');

  /** @param {typeof WebSocket} Socket @param {URL} url @param {Listener} listener */
  constructor(Socket, url, listener) {
    const address = new URL(url);
    address.protocol = url.protocol.replace('http', 'ws');
    this.socket = new Socket(address.href, SUBPROTOCOL);
    this.socket.onmessage = ({ data }) => listener.messages(this, [JSON.parse(data)].flat());
    this.socket.onclose = ({ code }) => listener.ended(this, code);
  }

  close() {
    this.socket.onmessage = this.socket.onclose = null;
    this.socket.close();
  }
}

/** @implements {Line} */
class EventSourceLine {
  transport = /** @type {const} */ ('sse');

  /** @param {typeof EventSource} Source @param {URL} url @param {Listener} listener */
  constructor(Source, url, listener) {
    this.source = new Source(url.href);
    this.source.onmessage = ({ data }) => listener.messages(this, [JSON.parse(data)]);
    for (const type of ['hello', 'gap', 'close']) {
      this.source.addEventListener(type, (control) => {
        const { data } = /** @type {MessageEvent} */ (control);
        listener.messages(this, [{ ...JSON.parse(data), type }]);
      });
    }
    this.source.onerror = () => {
      this.close(); // by itself it would come back with a ticket that is spent
      listener.ended(this, 1006);
    };
  }

  close() {
    this.source.onmessage = this.source.onerror = null;
    this.source.close();
  }
}

export class RelayStream extends EventTarget {
  /** @type {Options} */ #options;
  #base;
  #sequence = new Sequence();
  #started = false; // a hello was seen: from now on the cursor says where to go on
  /** @type {StreamState} */ #state = {
    state: 'connecting', transport: null, attempt: 0, retryAt: null, reconnects: 0,
    shared: false, leader: false, code: null, reason: null,
  };
  #closed = false;
  #round = 0; // whatever belongs to an earlier attempt finds itself late
  /** @type {Line | null} */ #line = null;
  /** @type {Line | null} */ #probe = null; // a WebSocket tried while SSE carries the stream
  /** @type {Goodbye | null} */ #goodbye = null;
  #greetedAt = 0;
  #heardAt = 0;
  #heartbeat = 25_000;
  #attempt = 0;
  #everLive = false;
  #expired = false; // the credential was refused: ask for another
  #socketFailures = 0;
  #tryBackAfter;
  #wentOffline = false;
  /** @type {{ at: string, times: number }} */ #hole = { at: '', times: 0 };
  /** @type {Record<string, ReturnType<typeof setTimeout> | undefined>} */ #timers = {};
  /** @type {number | null} */ #latency = null;
  #skew = 0; // ms the server's clock is ahead of ours, as far as events prove it
  #savedAt = 0;
  /** @type {Tabs | null} */ #tabs = null;
  #catching = false;
  /** @type {RelayEvent[]} */ #aside = [];
  #listening = new AbortController();

  /** @param {Options} [options] */
  constructor(options = {}) {
    super();
    this.#options = options;
    this.#base = new URL(options.url ?? '.', globalThis.location?.href);
    if (!this.#base.pathname.endsWith('/')) this.#base.pathname += '/';
    this.#tryBackAfter = options.retryWebSocketAfter ?? TRY_BACK_FIRST;
    this.#sequence.moveTo(this.#stored() || (options.after ?? ''));
    this.#listen();
    queueMicrotask(() => this.#closed || this.#open());
  }

  /** Everything up to and including this was delivered; null before the first hello. */
  get cursor() {
    return this.#sequence.cursor;
  }

  /** Milliseconds from the server's receipt of the last live event to this page, about. */
  get latency() {
    return this.#latency;
  }

  /** @returns {StreamState} */
  get state() {
    return { ...this.#state };
  }

  /** Try again now instead of waiting; also revives a stream that was closed. */
  reconnect() {
    if (this.#closed) {
      this.#closed = this.#expired = false;
      this.#attempt = 0;
      this.#listen();
      this.#open();
    } else if (this.#tabs?.following) {
      this.#tabs.post({ kind: 'nudge' });
      this.#catchUp();
    } else {
      this.#connect();
    }
  }

  /** Over, until reconnect(). */
  close() {
    this.#end(1000, 'closed');
  }

  // ── life ────────────────────────────────────────────────────────────────────────────────────

  #open() {
    this.#tabs = Tabs.for(this.#options.share, {
      lead: () => this.#connect(),
      follow: () => { this.#round += 1; this.#drop(); },
      heard: (message) => this.#heardFromTab(message),
      snapshot: () => ({ kind: 'state', state: this.#state, cursor: this.cursor }),
    });
    if (this.#tabs === null) this.#connect();
    else this.#tabs.join();
  }

  #listen() {
    this.#listening = new AbortController();
    const { signal } = this.#listening;
    const on = (/** @type {EventTarget | undefined} */ target, /** @type {string} */ name, /** @type {() => void} */ heard) =>
      target?.addEventListener?.(name, heard, { signal });
    on(globalThis, 'online', () => this.#online());
    on(globalThis, 'offline', () => { this.#wentOffline = true; });
    on(globalThis, 'pagehide', () => this.#save());
    on(globalThis.document, 'visibilitychange', () => (document.hidden ? this.#save() : this.#awake()));
  }

  async #connect() {
    const round = ++this.#round;
    this.#drop();
    this.#say({ state: 'connecting', transport: null, attempt: this.#attempt, retryAt: null });
    try {
      const Source = this.#options.EventSource ?? globalThis.EventSource;
      const sse = this.#socketFailures >= 2 && Source !== undefined;
      const url = await this.#address(sse ? 'api/sse' : 'api/rt');
      if (round !== this.#round) return;
      this.#line = sse ? new EventSourceLine(Source, url, this.#listener) : this.#socket(url);
      this.#after('silence', HELLO_WITHIN, () => this.#ended(this.#line, 1006));
    } catch (problem) {
      if (round === this.#round) this.#refused(problem);
    }
  }

  /** @param {URL} url */
  #socket(url) {
    return new SocketLine(this.#options.WebSocket ?? globalThis.WebSocket, url, this.#listener);
  }

  /** @type {Listener} */
  #listener = {
    messages: (line, list) => {
      const [first] = list;
      if (line === this.#probe && first && 'type' in first && first.type === 'hello') this.#adopt(line);
      if (line === this.#line) this.#take(list);
    },
    ended: (line, code) => this.#ended(line, code),
  };

  /** @param {Line | null} line @param {number} code */
  #ended(line, code) {
    if (line !== null && line === this.#probe) {
      line.close();
      this.#probe = null;
      return this.#tryBackLater();
    }
    if (line === null || line !== this.#line) return;
    const goodbye = this.#goodbye;
    const greeted = this.#greetedAt > 0;
    if (!greeted && goodbye === null) {
      // refused or cut before a word. SSE failing too says little about WebSockets: one more try
      this.#socketFailures = line.transport === 'websocket' ? this.#socketFailures + 1 : 1;
    }
    if (greeted && Date.now() - this.#greetedAt > STABLE) this.#attempt = 0;
    this.#drop();
    this.#comeBack(goodbye?.code ?? code, goodbye?.reason ?? null, goodbye?.retry_after_ms ?? null);
  }

  /** @param {unknown} problem */
  #refused(problem) {
    if (problem instanceof Refusal) this.#comeBack(problem.code, null, problem.retryAfter);
    else this.#comeBack(1006, null, null);
  }

  /** @param {number} code @param {string | null} reason @param {number | null} advised */
  #comeBack(code, reason, advised) {
    if (code === 4403) return this.#end(code, reason ?? 'forbidden');
    if (code === 4401) {
      if (!this.#options.getCredential) return this.#end(code, reason ?? 'unauthorized');
      this.#expired = true;
    }
    this.#attempt += 1;
    const offline = globalThis.navigator?.onLine === false && !isLoopback(this.#base.hostname);
    const least = code === 4429 ? advised ?? 10_000 : advised;
    // offline is the browser's guess: believe it enough to wait, not enough to give up
    const wait = offline ? LONGEST_RETRY : delayFor(this.#attempt, least);
    this.#say({
      state: offline ? 'offline' : 'waiting', transport: null, attempt: this.#attempt,
      retryAt: Date.now() + wait, code, reason,
    });
    this.#after('retry', wait, () => this.#connect());
  }

  #drop() {
    for (const name of Object.keys(this.#timers)) clearTimeout(this.#timers[name]);
    this.#line?.close();
    this.#probe?.close();
    this.#line = this.#probe = this.#goodbye = null;
    this.#greetedAt = 0;
  }

  /** @param {number} code @param {string} reason */
  #end(code, reason) {
    if (this.#closed) return;
    this.#round += 1;
    this.#drop();
    this.#save();
    this.#say({ state: 'closed', transport: null, retryAt: null, code, reason });
    this.#closed = true;
    this.#tabs?.leave();
    this.#tabs = null;
    this.#listening.abort();
  }

  // ── who we are, and where we start ──────────────────────────────────────────────────────────

  /** @param {string} door */
  async #address(door) {
    const url = new URL(door, this.#base);
    for (const [name, value] of this.#start()) url.searchParams.set(name, value);
    const headers = await this.#authorization();
    if (headers === null) return url; // the same-origin cookie goes along by itself
    const response = accepted(
      await this.#fetch(new URL('api/rt/ticket', this.#base), { method: 'POST', headers, credentials: 'omit' }),
    );
    url.searchParams.set('ticket', (await response.json()).ticket);
    return url;
  }

  async #authorization() {
    const { getCredential } = this.#options;
    if (!getCredential) return null;
    const credential = await getCredential({ expired: this.#expired });
    this.#expired = false;
    return credential ? { Authorization: `Bearer ${credential}` } : null;
  }

  /** @returns {[string, string][]} */
  #start() {
    const { after, last } = this.#options;
    if (this.cursor !== null) return [['after', this.cursor]];
    if (after) return [['after', after]];
    return last ? [['last', String(last)]] : [];
  }

  /** @param {URL} url @param {RequestInit} init */
  #fetch(url, init) {
    const get = this.#options.fetch ?? globalThis.fetch;
    return get(url, { ...init, signal: AbortSignal.timeout(HELLO_WITHIN) });
  }

  /** @param {number} limit @returns {Promise<Page>} */
  async #page(limit) {
    const url = new URL('api/events', this.#base);
    for (const [name, value] of this.#start()) url.searchParams.set(name, value);
    url.searchParams.set('limit', String(limit));
    const headers = await this.#authorization();
    const init = headers === null ? {} : { headers, credentials: /** @type {const} */ ('omit') };
    return accepted(await this.#fetch(url, init)).json();
  }

  #stored() {
    const { storageKey } = this.#options;
    try {
      return storageKey && this.#storage?.getItem(storageKey);
    } catch {
      return null; // storage may be forbidden; then every page load starts anew
    }
  }

  #save() {
    const { storageKey } = this.#options;
    this.#savedAt = Date.now();
    if (!storageKey || this.cursor === null) return;
    try {
      this.#storage?.setItem(storageKey, this.cursor);
    } catch { /* full or forbidden */ }
  }

  get #storage() {
    return this.#options.storage ?? globalThis.localStorage;
  }

  // ── what arrives ────────────────────────────────────────────────────────────────────────────

  /** @param {Message[]} list */
  #take(list) {
    this.#heardAt = Date.now();
    this.#tabs?.publish(list);
    for (const message of list) {
      if (!('type' in message)) {
        if (!this.#event(message)) return;
      } else if (message.type === 'hello') this.#hello(message);
      else if (message.type === 'gap') this.#gap(message);
      else if (message.type === 'close') this.#goodbye = message;
    }
    if (this.#goodbye !== null) {
      // the end follows by itself, unless a proxy swallows it
      const line = this.#line;
      this.#after('silence', line?.transport === 'sse' ? 0 : CLOSE_WITHIN, () => this.#ended(line, 1006));
    }
  }

  /** @param {Hello} hello */
  #hello(hello) {
    this.#greetedAt = Date.now();
    this.#heartbeat = (hello.heartbeat_s || 25) * 1000;
    if (this.#line?.transport === 'websocket') {
      this.#socketFailures = 0;
      this.#tryBackAfter = this.#options.retryWebSocketAfter ?? TRY_BACK_SOON;
    } else this.#tryBackLater();
    this.#greet(hello);
    const reconnects = this.#state.reconnects + (this.#everLive ? 1 : 0);
    this.#everLive = true;
    this.#say({
      state: 'live', transport: this.#line?.transport ?? null, attempt: 0, retryAt: null,
      reconnects, code: null, reason: null,
    });
    this.#watch();
  }

  /** @param {Hello} hello */
  #greet(hello) {
    this.#started = true;
    // a WebSocket taking over from SSE starts a little behind: never step back into what was seen
    if (!hello.resumed || this.cursor === null) this.#sequence.moveTo(hello.cursor);
    this.#emit('hello', hello);
  }

  /** @param {Gap} gap */
  #gap(gap) {
    this.#sequence.moveTo(gap.cursor);
    this.#emit('gap', gap);
  }

  /** @param {RelayEvent} event @returns {boolean} false: a hole, and this connection is over */
  #event(event) {
    const place = this.#sequence.judge(event);
    if (place === 'duplicate') return true;
    if (place === 'hole') {
      const at = `${this.cursor}`;
      this.#hole = { at, times: this.#hole.at === at ? this.#hole.times + 1 : 1 };
      if (this.#hole.times < SAME_HOLE) {
        this.#drop();
        this.#comeBack(1006, 'hole', 0);
        return false;
      }
      const { epoch } = /** @type {{ epoch: string }} */ (parseCursor(event.cursor));
      const to = event.seq - 1;
      this.#gap({ type: 'gap', from: this.#sequence.seq + 1, to, cursor: `${epoch}.${to}` });
    }
    this.#deliver(event);
    return true;
  }

  /** @param {RelayEvent} event */
  #deliver(event) {
    const now = Date.now();
    const received = Date.parse(event.received_at);
    this.#skew = Math.max(this.#skew, received - now);
    if (this.#greetedAt > 0 && received - this.#skew >= this.#greetedAt) {
      this.#latency = now - received + this.#skew;
    }
    this.#sequence.moveTo(event.cursor);
    this.#emit('event', event);
    if (now - this.#savedAt > 1_000) this.#save();
  }

  /** @param {string} name @param {unknown} detail */
  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  /** @param {Partial<StreamState>} change */
  #say(change) {
    if (this.#closed) return;
    this.#state = { ...this.#state, ...change, shared: this.#tabs !== null, leader: this.#tabs?.leading ?? false };
    this.#tabs?.announce();
    this.#emit('state', this.state);
  }

  // ── is the server still there? ──────────────────────────────────────────────────────────────

  /** @param {string} name @param {number} wait @param {() => void} then */
  #after(name, wait, then) {
    clearTimeout(this.#timers[name]);
    this.#timers[name] = setTimeout(then, wait);
  }

  #watch() {
    const left = this.#heardAt + this.#heartbeat * PATIENCE - Date.now();
    this.#after('silence', Math.max(left, 0), () => this.#checkSilence());
  }

  async #checkSilence() {
    if (Date.now() - this.#heardAt < this.#heartbeat * PATIENCE) return this.#watch();
    const line = this.#line;
    if (line?.transport === 'sse') {
      // EventSource hides the server's heartbeats: ask by another way whether anything was missed
      const before = this.cursor;
      const missed = await this.#page(1).then((page) => page.events.length > 0, () => true);
      if (line !== this.#line) return;
      if (!missed || before !== this.cursor) {
        this.#heardAt = Date.now();
        return this.#watch();
      }
    }
    this.#ended(line, 1006);
  }

  #awake() {
    if (this.#tabs?.following) return this.#tabs.ask();
    if (this.#state.state === 'live') this.#checkSilence();
    else if (this.#mayHurry()) this.#connect();
  }

  #mayHurry() {
    return this.#state.state === 'offline' || (this.#state.state === 'waiting' && this.#state.code !== 4429);
  }

  #online() {
    const quiet = Date.now() - this.#heardAt > 1_000;
    if (this.#tabs?.following) return;
    if (this.#state.state === 'live' && this.#wentOffline && quiet && !isLoopback(this.#base.hostname)) {
      this.#ended(this.#line, 1006); // another network: the old connection is a corpse
    }
    this.#wentOffline = false;
    this.#socketFailures = 0;
    if (this.#mayHurry()) this.#connect();
  }

  #tryBackLater() {
    const wait = this.#tryBackAfter;
    this.#tryBackAfter = Math.min(wait * 2, TRY_BACK_LONGEST);
    this.#after('back', wait, async () => {
      const line = this.#line;
      const url = await this.#address('api/rt').catch(() => null);
      if (line !== this.#line || line === null) return;
      if (url === null) return this.#tryBackLater();
      this.#probe = this.#socket(url);
      const probe = this.#probe;
      this.#after('probe', HELLO_WITHIN, () => this.#ended(probe, 1006));
    });
  }

  /** The WebSocket works again: go on there. @param {Line} line */
  #adopt(line) {
    this.#line?.close();
    clearTimeout(this.#timers.probe);
    this.#line = line;
    this.#probe = null;
    this.#goodbye = null;
  }

  // ── following another tab ───────────────────────────────────────────────────────────────────

  /** @param {TabMessage} message */
  #heardFromTab(message) {
    if (message.kind === 'nudge') {
      if (this.#mayHurry()) this.#connect();
    } else if (message.kind === 'messages') {
      for (const each of message.list) this.#followed(each);
    } else if (message.kind === 'state') {
      const { state, code, reason, retryAt } = message.state;
      if (state === 'closed') {
        // refused for good goes for all tabs; a leader that was told to close hands the lock on
        return code === 1000 ? undefined : this.#end(code ?? 4403, reason ?? 'forbidden');
      }
      this.#greetedAt ||= Date.now();
      this.#say(message.state);
      if (retryAt !== null && !globalThis.document?.hidden) {
        // the leader may be a hidden tab whose timers are slow: wake it when its time has come
        this.#after('nudge', Math.max(0, retryAt - Date.now()) + 1_000, () => this.#tabs?.post({ kind: 'nudge' }));
      }
      if (!this.#started || this.#isBehind(message.cursor)) this.#catchUp(message.cursor);
    }
  }

  /** @param {string | null} cursor */
  #isBehind(cursor) {
    const there = parseCursor(cursor ?? '');
    return there !== null && (there.epoch !== this.#sequence.epoch || there.seq > this.#sequence.seq);
  }

  /** @param {Message} message */
  #followed(message) {
    if ('type' in message) {
      if (message.type === 'hello' && message.reason && this.#started) this.#greet(message);
      else if (message.type === 'gap' && message.from === this.#sequence.seq + 1) this.#gap(message);
      return;
    }
    if (this.#started && !this.#catching && this.#sequence.judge(message) !== 'hole') {
      if (this.#sequence.judge(message) === 'next') this.#deliver(message);
      return;
    }
    if (this.#aside.push(message) > KEPT_WHILE_CATCHING_UP) this.#aside.shift();
    this.#catchUp(message.cursor);
  }

  /** Read by HTTP what the leader had before us. @param {string | null} [leaderAt] */
  async #catchUp(leaderAt = null) {
    const { after, last } = this.#options;
    if (this.#catching || !this.#tabs?.following) return;
    if (this.cursor === null && !after && !last) {
      if (leaderAt === null) return;
      this.#greet({ type: 'hello', cursor: leaderAt, resumed: false, oldest: 0, heartbeat_s: 25 });
    }
    this.#catching = true;
    const round = this.#round;
    try {
      for (;;) {
        const page = await this.#page(PAGE);
        if (round !== this.#round || !this.#tabs?.following) return;
        this.#takePage(page);
        const waiting = this.#aside.splice(0).filter((event) => this.#sequence.judge(event) !== 'duplicate');
        while (waiting.length > 0 && this.#sequence.judge(waiting[0]) === 'next') this.#deliver(/** @type {RelayEvent} */ (waiting.shift()));
        this.#aside.unshift(...waiting);
        if (page.events.length === 0) break;
      }
      this.#aside.length = 0;
    } catch (problem) {
      this.#expired ||= problem instanceof Refusal && problem.code === 4401;
      this.#after('catch', delayFor(3), () => this.#catchUp());
    } finally {
      this.#catching = false;
    }
  }

  /** @param {Page} page */
  #takePage(page) {
    const first = page.events[0];
    const epoch = parseCursor(page.cursor)?.epoch;
    if (!this.#started || page.reason) {
      const cursor = first ? `${epoch}.${first.seq - 1}` : page.cursor;
      const { resumed, reason, oldest } = page;
      const from = this.#sequence.seq + 1;
      this.#greet({ type: 'hello', cursor: resumed && this.cursor ? this.cursor : cursor, resumed, reason, oldest, heartbeat_s: 25 });
      if (resumed && from < oldest) this.#gap({ type: 'gap', from, to: oldest - 1, cursor: `${epoch}.${oldest - 1}` });
    } else if (page.oldest > this.#sequence.seq + 1) {
      const to = page.oldest - 1;
      this.#gap({ type: 'gap', from: this.#sequence.seq + 1, to, cursor: `${epoch}.${to}` });
    }
    for (const event of page.events) {
      if (this.#sequence.judge(event) === 'next') this.#deliver(event);
    }
  }
}

/** @typedef {{ kind: 'state', state: StreamState, cursor: string | null } | { kind: 'messages', list: Message[] } | { kind: 'nudge' } | { kind: 'ask' }} TabMessage */
/** @typedef {{ lead(): void, follow(): void, heard(message: TabMessage): void, snapshot(): TabMessage }} Role */

/**
 * One connection for all tabs of a user: whoever holds the lock leads and tells the others.
 * The browser hands the lock on when its tab goes; a tab that is frozen with it loses it to a
 * visible one that got no answer.
 */
class Tabs {
  leading = false;
  #left = false;
  #queued = 0; // requests for the lock that were not granted yet
  #name;
  #role;
  #channel;
  #letGo = () => {};
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #overdue;
  /** @type {ReturnType<typeof setInterval> | undefined} */ #asking;

  /** @param {string | undefined} share @param {Role} role */
  static for(share, role) {
    const able = globalThis.navigator?.locks && globalThis.BroadcastChannel;
    return share && able ? new Tabs(`relay-stream ${share}`, role) : null;
  }

  /** @param {string} name @param {Role} role */
  constructor(name, role) {
    this.#name = name;
    this.#role = role;
    this.#channel = new BroadcastChannel(name);
    this.#channel.onmessage = ({ data }) => this.#heard(data);
  }

  get following() {
    return !this.leading;
  }

  join() {
    this.#queue({});
    this.#asking = setInterval(() => this.ask(), ASK_LEADER_EVERY);
    this.ask();
  }

  /** @param {LockOptions} options */
  #queue(options) {
    this.#queued += 1;
    navigator.locks
      .request(this.#name, options, () => this.#lead())
      .catch(() => this.#lostLock()); // stolen by a tab that took us for frozen
  }

  #lead() {
    this.#queued -= 1;
    if (this.#left) return undefined;
    this.leading = true;
    clearTimeout(this.#overdue);
    this.#role.lead();
    return new Promise((resolve) => { this.#letGo = () => resolve(undefined); });
  }

  #lostLock() {
    if (this.#left) return;
    this.leading = false;
    this.#role.follow();
    if (this.#queued === 0) this.#queue({});
    this.ask();
  }

  /** Is the leader awake? Only visible tabs mind. */
  ask() {
    if (this.leading || this.#left || globalThis.document?.hidden) return;
    this.post({ kind: 'ask' });
    this.#overdue ??= setTimeout(() => {
      this.#overdue = undefined;
      if (this.following && !this.#left) this.#queue({ steal: true });
    }, LEADER_ANSWERS_WITHIN + Math.random() * 1_000);
  }

  /** @param {TabMessage} message */
  #heard(message) {
    if (this.leading) {
      if (message.kind === 'ask') this.announce();
      else if (message.kind === 'nudge') this.#role.heard(message);
      return;
    }
    if (message.kind === 'ask' || message.kind === 'nudge') return;
    clearTimeout(this.#overdue);
    this.#overdue = undefined;
    this.#role.heard(message);
  }

  /** @param {TabMessage} message */
  post(message) {
    if (!this.#left) this.#channel.postMessage(message);
  }

  announce() {
    if (this.leading) this.post(this.#role.snapshot());
  }

  /** @param {Message[]} list */
  publish(list) {
    if (this.leading) this.post({ kind: 'messages', list });
  }

  leave() {
    this.#left = true;
    clearTimeout(this.#overdue);
    clearInterval(this.#asking);
    this.#channel.close();
    this.#letGo();
  }
}

/** @param {string} hostname */
function isLoopback(hostname) {
  return hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.');
}
