/** The two transports of the same messages, and the choice between them. */

/** @typedef {import('../relay-stream.d.ts').RelayStreamOptions} Options */
/** @typedef {import('../relay-stream.d.ts').RelayEvent} RelayEvent */
/** @typedef {import('../relay-stream.d.ts').Hello} Hello */
/** @typedef {import('../relay-stream.d.ts').Gap} Gap */
/** @typedef {{ type: 'close', code: number, reason?: string, retry_after_ms?: number | null }} Close */
/** @typedef {{ type: 'ping', ts: string }} Ping */
/** @typedef {import('../relay-stream.d.ts').RelayTask} RelayTask */
/** @typedef {import('../relay-stream.d.ts').TaskCounts} TaskCounts */
/** @typedef {{ type: 'tasks', cursor: string, counts: TaskCounts, tasks: RelayTask[], more: boolean }} TasksMessage */
/** @typedef {{ type: 'task', task?: RelayTask, task_id?: string, deleted?: boolean }} TaskMessage */
/** @typedef {RelayEvent | Hello | Gap | Close | Ping | TasksMessage | TaskMessage} Message */
/** @typedef {'websocket' | 'sse'} TransportName */
/** @typedef {{ name: TransportName, close(): void }} Transport once closed, it reports nothing */
/** @typedef {{ messages(from: Transport, list: Message[]): void, ended(from: Transport, code: number): void }} Listener */

const SUBPROTOCOL = 'relay.v1';
const MAX_SOCKET_FAILURES = 2; // in a row, each before the first message; after that SSE is used
const TRIAL_MS = 60_000; // on SSE before WebSocket is tried again; doubled each time
const TRIAL_SOON_MS = 1_000; // if WebSockets worked before: then the server was away, and no proxy blocks them
const TRIAL_LONGEST_MS = 600_000;

/** @implements {Transport} */
class WebSocketTransport {
  name = /** @type {const} */ ('websocket');
  #socket;

  /** @param {typeof WebSocket} Socket @param {URL} url @param {Listener} listener */
  constructor(Socket, url, listener) {
    const address = new URL(url);
    address.protocol = url.protocol.replace('http', 'ws');
    this.#socket = new Socket(address.href, SUBPROTOCOL);
    this.#socket.onmessage = ({ data }) => listener.messages(this, [JSON.parse(data)].flat());
    this.#socket.onclose = ({ code }) => listener.ended(this, code);
  }

  close() {
    this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
  }
}

/** @implements {Transport} */
class EventSourceTransport {
  name = /** @type {const} */ ('sse');
  #source;

  /** @param {typeof EventSource} Source @param {URL} url @param {Listener} listener */
  constructor(Source, url, listener) {
    this.#source = new Source(url.href);
    this.#source.onmessage = ({ data }) => listener.messages(this, [JSON.parse(data)]);
    for (const type of ['hello', 'gap', 'close', 'tasks', 'task']) {
      this.#source.addEventListener(type, (control) => {
        const { data } = /** @type {MessageEvent} */ (control);
        listener.messages(this, [{ ...JSON.parse(data), type }]);
      });
    }
    this.#source.onerror = () => {
      this.close(); // an EventSource would reconnect with a used ticket
      listener.ended(this, 1006);
    };
  }

  close() {
    this.#source.onmessage = this.#source.onerror = null;
    this.#source.close();
  }
}

/** @param {Options} options @param {TransportName} name @param {URL} url @param {Listener} listener @returns {Transport} */
export function openTransport(options, name, url, listener) {
  return name === 'sse'
    ? new EventSourceTransport(options.EventSource ?? globalThis.EventSource, url, listener)
    : new WebSocketTransport(options.WebSocket ?? globalThis.WebSocket, url, listener);
}

/** Chooses WebSocket or SSE, depending on what worked before. */
export class TransportChoice {
  #options;
  #socketFailures = 0;
  #trialAfter;

  /** @param {Options} options */
  constructor(options) {
    this.#options = options;
    this.#trialAfter = options.retryWebSocketAfter ?? TRIAL_MS;
  }

  /** @returns {TransportName} */
  get next() {
    const able = (this.#options.EventSource ?? globalThis.EventSource) !== undefined;
    return able && this.#socketFailures >= MAX_SOCKET_FAILURES ? 'sse' : 'websocket';
  }

  /** Milliseconds on SSE before a WebSocket is tried; doubled each time. */
  nextTrial() {
    const wait = this.#trialAfter;
    this.#trialAfter = Math.min(wait * 2, TRIAL_LONGEST_MS);
    return wait;
  }

  /** A connection with this transport received its hello. @param {TransportName} name */
  worked(name) {
    if (name === 'sse') return;
    this.#socketFailures = 0;
    this.#trialAfter = this.#options.retryWebSocketAfter ?? TRIAL_SOON_MS;
  }

  /** A connection with this transport ended before its first message. @param {TransportName} name */
  failed(name) {
    // SSE fails too, so the WebSocket may not be at fault: one more try
    this.#socketFailures = name === 'websocket' ? this.#socketFailures + 1 : 1;
  }

  /** Forgets failures: on another network WebSockets may work. */
  forget() {
    this.#socketFailures = 0;
  }
}
