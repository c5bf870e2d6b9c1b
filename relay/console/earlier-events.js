/** Reads older events for the log, a block at a time and backwards: of all tasks, or of one. */

import { getEvents } from './api.js';
import { parseCursor } from './relay-stream.js';

/** @typedef {import('./api.js').RelayEvent} RelayEvent */
/** @typedef {import('./relay-stream.d.ts').RelayTask} RelayTask */
/** @typedef {{ events: RelayEvent[], since: number, oldest: number }} Block none is missing from `since` on; nothing before `oldest` is stored */

const BLOCK = 500; // events that a read is to find
const WIDEST = 100_000; // seqs that a read looks through at once: what the server does in a call
const MOST_READS = 10; // until a block is given up that has nothing of the task in it
const PAGE = '1000';

export class EarlierEvents {
  #epoch;

  /** @param {string} epoch of the stream */
  constructor(epoch) {
    this.#epoch = epoch;
  }

  /**
   * The events just before a seq. Raises Problem.
   * @param {number} seq @param {string | null} id of a task; null: of all @param {RelayTask | undefined} task what is known of it
   * @returns {Promise<Block>}
   */
  async before(seq, id, task) {
    let span = id === null ? BLOCK : spanOf(task);
    let block = { events: /** @type {RelayEvent[]} */ ([]), since: seq, oldest: 1 };
    for (let reads = 0; reads < MOST_READS && block.events.length === 0 && block.since > block.oldest; reads += 1) {
      block = await this.#between(Math.max(1, block.since - span), block.since, id);
      span = Math.min(span * 4, WIDEST);
    }
    return block;
  }

  /** The events from one seq until another one. @param {number} from @param {number} until exclusive @param {string | null} id @returns {Promise<Block>} */
  async #between(from, until, id) {
    const events = [];
    let oldest = 1;
    for (let after = from - 1; after < until - 1;) {
      const query = { after: `${this.#epoch}.${after}`, limit: PAGE, ...(id !== null && { task_id: id }) };
      const page = await getEvents(query);
      const reached = parseCursor(page.cursor);
      if (!page.resumed || reached === null) return { events: [], since: until, oldest: until }; // other numbers by now
      oldest = page.oldest;
      events.push(...page.events.filter((event) => event.seq < until));
      if (reached.seq <= after) break;
      after = reached.seq;
    }
    return { events, since: Math.max(from, oldest), oldest };
  }
}

/** How many seqs have about a block of a task's events. @param {RelayTask | undefined} task */
function spanOf(task) {
  if (!task) return BLOCK * 10;
  const apart = (task.last_seq - task.first_seq + 1) / task.events;
  return Math.min(WIDEST, Math.max(BLOCK, Math.ceil(BLOCK * apart)));
}
