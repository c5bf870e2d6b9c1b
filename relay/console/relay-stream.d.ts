/** One accepted webhook, as the stream delivers it. */
export interface RelayEvent {
  id: string;
  /** Position in its user's stream: 1, 2, 3 … without holes. */
  seq: number;
  /** `<epoch>.<seq>`: give it as `after` to go on behind this event. */
  cursor: string;
  event_type: 'task_started' | 'task_progress' | 'task_succeeded' | 'task_failed' | 'log';
  task_id?: string;
  /** The producer's clock, as given. */
  ts: string;
  /** The server's clock. */
  received_at: string;
  /** Whatever the producer sent. Treat it as hostile: never as HTML. */
  payload: unknown;
}

/** The first word of a connection. */
export interface Hello {
  type: 'hello';
  /** The position just before the first event that will come. */
  cursor: string;
  /** Whether the stream goes on where the cursor said. */
  resumed: boolean;
  /** Why not: `epoch` (another numbering, or another user) or `ahead`. Everything stored comes again. */
  reason?: 'epoch' | 'ahead' | (string & {});
  oldest: number;
  heartbeat_s?: number;
  token_ttl_s?: number;
}

/** Events that are gone; both ends inclusive. */
export interface Gap {
  type: 'gap';
  from: number;
  to: number;
  cursor: string;
}

export interface StreamState {
  /**
   * - `connecting`: an attempt is under way
   * - `live`: events arrive as they happen
   * - `waiting`: the next attempt is at `retryAt`
   * - `offline`: as `waiting`, and the browser says there is no network
   * - `closed`: over; `code` says why, `reconnect()` begins again
   */
  state: 'connecting' | 'live' | 'waiting' | 'offline' | 'closed';
  transport: 'websocket' | 'sse' | null;
  /** Attempts in a row that did not lead to a live stream. */
  attempt: number;
  /** Milliseconds since 1970. */
  retryAt: number | null;
  reconnects: number;
  /** Whether tabs share one connection, and whether this one holds it. */
  shared: boolean;
  leader: boolean;
  /** The close code of the last connection, and the server's word for it. */
  code: number | null;
  reason: string | null;
}

export interface RelayStreamOptions {
  /** Where Relay is. Default: the folder of the page. */
  url?: string | URL;
  /**
   * The credential (session or hook token) to watch with; `expired` says that the last one was
   * refused. Absent, or answering null: the same-origin cookie.
   */
  getCredential?: (request: { expired: boolean }) => string | null | Promise<string | null>;
  /** Where to start when nothing is stored: a cursor, or `oldest`. Default: what comes from now on. */
  after?: string;
  /** Or: start with the newest n (1–1000). */
  last?: number;
  /** Keep the cursor under this key, so that the next page load goes on from there. */
  storageKey?: string;
  /** Default: localStorage. */
  storage?: Pick<Storage, 'getItem' | 'setItem'>;
  /**
   * Tabs with the same word share one connection. Name the user in it: whoever knows the word on
   * this origin sees the stream. Absent: a connection of its own.
   */
  share?: string;
  /** Milliseconds on SSE before WebSocket is tried again; doubles. */
  retryWebSocketAfter?: number;
  /** For Node and for tests. */
  WebSocket?: typeof WebSocket;
  EventSource?: typeof EventSource;
  fetch?: typeof fetch;
}

export interface RelayStreamEventMap {
  hello: CustomEvent<Hello>;
  gap: CustomEvent<Gap>;
  event: CustomEvent<RelayEvent>;
  state: CustomEvent<StreamState>;
}

/** One user's events, in order, none twice, none missing; across reconnects, transports and tabs. */
export class RelayStream extends EventTarget {
  constructor(options?: RelayStreamOptions);
  /** Everything up to and including this was delivered; null before the first hello. */
  readonly cursor: string | null;
  /** Milliseconds from the server's receipt of the last live event to this page, about. */
  readonly latency: number | null;
  readonly state: StreamState;
  /** Try again now; also revives a closed stream. */
  reconnect(): void;
  close(): void;
  addEventListener<K extends keyof RelayStreamEventMap>(
    type: K,
    listener: (this: RelayStream, event: RelayStreamEventMap[K]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject,
    options?: boolean | AddEventListenerOptions,
  ): void;
}

/** @internal */
export function parseCursor(cursor: string): { epoch: string; seq: number } | null;
/** @internal */
export function delayFor(attempt: number, advised?: number | null, random?: () => number): number;
/** @internal */
export class Sequence {
  epoch: string | null;
  seq: number;
  readonly cursor: string | null;
  moveTo(cursor: string): boolean;
  judge(event: { seq: number; cursor: string }): 'next' | 'duplicate' | 'hole';
}
