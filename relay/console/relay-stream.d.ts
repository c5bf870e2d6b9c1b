/** One accepted webhook, as the stream delivers it. */
export interface RelayEvent {
  id: string;
  /** Position in its user's stream: 1, 2, 3 … without holes. */
  seq: number;
  /** `<epoch>.<seq>`: pass it as `after` to continue after this event. */
  cursor: string;
  event_type: 'task_started' | 'task_progress' | 'task_succeeded' | 'task_failed' | 'log';
  task_id?: string;
  /** The producer's clock, as given. */
  ts: string;
  /** The server's clock. */
  received_at: string;
  /**
   * Whatever the producer sent. Treat it as hostile: never as HTML. A number that JavaScript cannot
   * hold is the nearest one that it can, or Infinity.
   */
  payload: unknown;
}

/** The first message of a connection. */
export interface Hello {
  type: 'hello';
  /** The position just before the first event that will come. */
  cursor: string;
  /** Whether the stream continues at the cursor that was given. */
  resumed: boolean;
  /** Why not: `epoch` (other numbering, or another user) or `ahead`. All stored events are sent again. */
  reason?: 'epoch' | 'ahead' | (string & {});
  oldest: number;
  heartbeat_s?: number;
  token_ttl_s?: number;
}

/** Events that are no longer stored; both ends inclusive. */
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
   * - `offline`: as `waiting`, and the browser reports no network
   * - `closed`: ended; `code` is the reason, `reconnect()` opens it again
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
  /** The close code of the last connection, and the server's reason. */
  code: number | null;
  reason: string | null;
}

export interface RelayStreamOptions {
  /** Relay's address. Default: the folder of the page. */
  url?: string | URL;
  /**
   * Returns the credential (session or hook token) to watch with. `expired`: the last one was
   * refused. Without it, or if it returns null: the same-origin cookie.
   */
  getCredential?: (request: { expired: boolean }) => string | null | Promise<string | null>;
  /** Where to start when no cursor is stored: a cursor, or `oldest`. Default: new events only. */
  after?: string;
  /** Or: start with the newest n events (1–1000). */
  last?: number;
  /** Store the cursor under this key, so that the next page load continues there. */
  storageKey?: string;
  /** Default: localStorage. */
  storage?: Pick<Storage, 'getItem' | 'setItem'>;
  /**
   * Tabs with the same value share one connection. Put the user into it: every page of this origin
   * that uses the value gets the stream. Absent: each tab has its own connection.
   */
  share?: string;
  /** Milliseconds on SSE before WebSocket is tried again; doubled each time. */
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

/** One user's events in order, without duplicates or holes, across reconnects, transports and tabs. */
export class RelayStream extends EventTarget {
  constructor(options?: RelayStreamOptions);
  /** Everything up to and including this was delivered; null before the first hello. */
  readonly cursor: string | null;
  /** About how many milliseconds the last live event took from the server to this page. */
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
