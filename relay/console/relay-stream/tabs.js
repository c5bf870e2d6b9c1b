/**
 * Chooses the tab that holds the connection. The tab with the lock leads, and posts what it
 * receives on a BroadcastChannel. When it is closed, the browser gives the lock to the next tab. A
 * frozen leader answers nothing, so a visible tab steals the lock from it.
 */

/** @typedef {import('../relay-stream.d.ts').StreamState} StreamState */
/** @typedef {import('./transports.js').Message} Message */
/** @typedef {{ kind: 'state', state: StreamState, cursor: string | null }} LeaderState */
/** @typedef {import('./task-list.js').TasksCopy} TasksCopy */
/** @typedef {LeaderState | { kind: 'messages', list: Message[] } | { kind: 'tasks', tasks: TasksCopy }} FromLeader */
/** @typedef {FromLeader | { kind: 'nudge' | 'ask' | 'askTasks' }} TabMessage */
/**
 * @typedef {object} Role callbacks of this tab's stream
 * @property {() => void} lead from now on
 * @property {() => void} follow from now on
 * @property {(message: TabMessage) => void} received
 * @property {() => LeaderState} snapshot of the leader
 */

const LEADER_TIMEOUT_MS = 4_000; // a frozen tab keeps its lock and does not answer
const LEADER_JITTER_MS = 1_000; // so that not all followers take the lock at once
const ASK_INTERVAL_MS = 15_000;

export class Tabs {
  /** @type {'following' | 'leading' | 'left'} */ #state = 'following';
  #queued = 0; // requests for the lock that are not granted yet
  #name;
  #role;
  #channel;
  #release = () => {};
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #overdue;
  /** @type {ReturnType<typeof setInterval> | undefined} */ #asking;

  /** @param {string | undefined} share @param {Role} role @returns null if sharing is off, not supported or forbidden */
  static for(share, role) {
    const able = globalThis.navigator?.locks && globalThis.BroadcastChannel;
    if (!share || !able) return null;
    try {
      return new Tabs(`relay-stream ${share}`, role);
    } catch {
      return null; // where storage is forbidden, a channel may be, too
    }
  }

  /** @param {string} name @param {Role} role */
  constructor(name, role) {
    this.#name = name;
    this.#role = role;
    this.#channel = new BroadcastChannel(name);
    this.#channel.onmessage = ({ data }) => this.#received(data);
  }

  get leading() {
    return this.#state === 'leading';
  }

  get following() {
    return this.#state === 'following';
  }

  join() {
    this.#requestLock({});
    this.#asking = setInterval(() => this.ask(), ASK_INTERVAL_MS);
    this.ask();
  }

  /** Asks whether the leader is awake. Only a visible tab needs to know. */
  ask() {
    if (!this.following || globalThis.document?.hidden) return;
    this.post({ kind: 'ask' });
    this.#overdue ??= setTimeout(() => {
      this.#overdue = undefined;
      if (this.following) this.#requestLock({ steal: true });
    }, LEADER_TIMEOUT_MS + Math.random() * LEADER_JITTER_MS);
  }

  /** @param {TabMessage} message */
  post(message) {
    if (this.#state !== 'left') this.#channel.postMessage(message);
  }

  /** Posts the state of the leader. */
  announce() {
    if (this.leading) this.post(this.#role.snapshot());
  }

  /** Posts what the leader received. @param {Message[]} list */
  publish(list) {
    if (this.leading) this.post({ kind: 'messages', list });
  }

  leave() {
    this.#state = 'left';
    this.#leaderAnswered();
    clearInterval(this.#asking);
    this.#channel.close();
    this.#release();
  }

  /** @param {LockOptions} options */
  #requestLock(options) {
    this.#queued += 1;
    navigator.locks
      .request(this.#name, options, () => this.#lead())
      .catch(({ name }) => {
        if (name === 'SecurityError') this.#lead(); // locks are forbidden, as in a sandboxed frame: each tab leads
        else this.#lostLock(); // another tab stole it, because this one seemed frozen
      });
  }

  #lead() {
    this.#queued -= 1;
    if (this.#state === 'left') return undefined;
    this.#state = 'leading';
    this.#leaderAnswered();
    this.#role.lead();
    return new Promise((resolve) => { this.#release = () => resolve(undefined); });
  }

  #lostLock() {
    if (this.#state === 'left') return;
    this.#state = 'following';
    this.#role.follow();
    if (this.#queued === 0) this.#requestLock({});
    this.ask();
  }

  #leaderAnswered() {
    clearTimeout(this.#overdue);
    this.#overdue = undefined;
  }

  /** @param {TabMessage} message */
  #received(message) {
    if (this.leading) {
      if (message.kind === 'ask') this.announce();
      else if (message.kind === 'nudge' || message.kind === 'askTasks') this.#role.received(message);
    } else if (message.kind === 'messages' || message.kind === 'state' || message.kind === 'tasks') {
      this.#leaderAnswered();
      this.#role.received(message);
    }
  }
}
