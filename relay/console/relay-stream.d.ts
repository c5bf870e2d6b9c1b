/** One accepted webhook, as the stream delivers it. */
export interface RelayEvent {
  id: string;
  /** Position in its user's stream: 1, 2, 3 … without holes. */
  seq: number;
  /** `<epoch>.<seq>`: pass it as `after` to continue after this event. */
  cursor: string;
  /** One that a producer posts, or a note of Relay's own: an ask was opened, or has ended. */
  event_type: 'task_started' | 'task_progress' | 'task_succeeded' | 'task_failed' | 'log' | 'task_waiting' | 'task_answered';
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

export type TaskState = 'running' | 'waiting' | 'lost' | 'succeeded' | 'failed' | 'canceled';

/** How many tasks there are in each state; a state without one may be absent. */
export type TaskCounts = Partial<Record<TaskState, number>>;

/** A task, by what its events say. Times are the server's. Titles and messages are hostile like payloads. */
export interface RelayTask {
  task_id: string;
  /** Each `task_started` begins one. */
  run: number;
  /** `lost`: running, and silent for longer than its lease. */
  state: TaskState;
  title: string | null;
  /** 0 to 1. */
  progress: number | null;
  /** The last line that is not blank. */
  message: string | null;
  metrics: Record<string, number>;
  parent_id: string | null;
  url: string | null;
  exit_code: number | null;
  started_at: string;
  /** When its last event was received. */
  last_at: string;
  ended_at: string | null;
  /** When the lease of a lost task ran out. */
  lost_at: string | null;
  duration_s: number | null;
  /** The first event of this run. */
  first_seq: number;
  last_seq: number;
  /** Events of this run. */
  events: number;
  lease_s: number | null;
  stoppable: boolean;
  stop_requested_at: string | null;
  ask_id: string | null;
  hidden: boolean;
}

/**
 * - `off`: the option `tasks` was not given
 * - `waiting`: no connection has brought the tasks yet
 * - `ready`: they are here, and change as they change; while the connection is lost, as they last were
 * - `missing`: the server does not send tasks, for it is of an earlier version; or they are late, and then `ready` follows
 */
export type TasksState = 'off' | 'waiting' | 'ready' | 'missing';

export interface TaskChange {
  task_id: string;
  /** The task as it is now; null: it was forgotten. One with `hidden: true` is no longer in the list. */
  task: RelayTask | null;
  /** As it was in the list before; null: it was not there. */
  before: RelayTask | null;
}

/** `whole`: the list was replaced, and `tasks` are all that it has now. Without any task: a count has changed. */
export interface TaskChanges {
  tasks: TaskChange[];
  whole: boolean;
}

/**
 * The user's tasks by id, live; nothing can be set. It has those that are not hidden: the 1 000 of
 * the latest activity that are not over, and the latest 200 that are, and up to 1 000 that have ended
 * since. `GET /api/tasks` has the others.
 */
export interface RelayTasks extends EventTarget {
  readonly state: TasksState;
  /** Of all tasks that are not hidden, also those that are not in the list. */
  readonly counts: TaskCounts;
  /** Where in the stream the list was true when it arrived as a whole. */
  readonly cursor: string | null;
  /** All tasks with a `last_seq` of at least this are in the list; 0: all there are. */
  readonly completeSince: number;
  readonly size: number;
  get(taskId: string): RelayTask | undefined;
  has(taskId: string): boolean;
  keys(): IterableIterator<string>;
  values(): IterableIterator<RelayTask>;
  [Symbol.iterator](): IterableIterator<[string, RelayTask]>;
  addEventListener(
    type: 'change',
    listener: (this: RelayTasks, event: CustomEvent<TaskChanges>) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject,
    options?: boolean | AddEventListenerOptions,
  ): void;
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
   * Tabs with the same value, and the same option `tasks`, share one connection. Put the user into it: every page of this origin
   * that uses the value gets the stream. Absent: each tab has its own connection.
   */
  share?: string;
  /** Also receive the user's tasks, as `stream.tasks`. */
  tasks?: boolean;
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
  /** The user's tasks; with the option `tasks`. */
  readonly tasks: RelayTasks;
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
