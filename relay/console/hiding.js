/** Hides tasks, shows them again, and offers to undo it for a while. */

import { Problem, getTasks, hideTasks } from './api.js';
import { byId, el } from './dom.js';

const UNDO_MS = 10_000;
const AT_ONCE = 100; // tasks of one call
const MOST_CLEARED = 10_000; // as many as a server keeps of a user

export class Hiding {
  #toast = byId('undo');
  #problem;
  #timer = 0;

  /** @param {(message: string) => void} problem */
  constructor(problem) {
    this.#problem = problem;
  }

  /** @param {string[]} ids @param {string} words what happened to them, as "Hidden: make test" */
  async hide(ids, words) {
    const hidden = await this.#set(ids, true);
    if (hidden.length > 0) this.#offerUndo(hidden, hidden.length === ids.length ? words : `${words.split(/[ :]/)[0]} ${hidden.length.toLocaleString()} of ${ids.length.toLocaleString()} tasks`);
  }

  /** @param {string[]} ids */
  async show(ids) {
    await this.#set(ids, false);
  }

  /** Hides all tasks that succeeded, also those that are not in the list. */
  async clearSucceeded() {
    /** @type {string[]} */
    const ids = [];
    try {
      for (let next = ''; ids.length < MOST_CLEARED;) {
        const page = await getTasks({ state: 'succeeded', limit: '500', ...(next && { after: next }) });
        ids.push(...page.tasks.map((task) => task.task_id));
        if (page.next === undefined) break;
        next = page.next;
      }
    } catch (problem) {
      return this.#report(problem);
    }
    if (ids.length > 0) await this.hide(ids, ids.length === 1 ? 'Cleared 1 task' : `Cleared ${ids.length.toLocaleString()} tasks`);
  }

  /** @param {string[]} ids @param {boolean} hidden @returns {Promise<string[]>} those for which it was done */
  async #set(ids, hidden) {
    let done = 0;
    try {
      for (; done < ids.length; done += AT_ONCE) await patient(() => hideTasks(ids.slice(done, done + AT_ONCE), hidden));
    } catch (problem) {
      this.#report(problem);
    }
    return ids.slice(0, done);
  }

  /** @param {string[]} ids @param {string} words */
  #offerUndo(ids, words) {
    const undo = el('button', { type: 'button', class: 'text', text: 'Undo', onclick: () => { this.#close(); this.show(ids); } });
    this.#toast.replaceChildren(el('span', { text: words }), undo);
    this.#toast.hidden = false;
    this.#closeLater();
  }

  /** It stays while it is pointed at, or has the focus. */
  #closeLater() {
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => {
      if (this.#toast.matches(':hover, :focus-within')) this.#closeLater();
      else this.#close();
    }, UNDO_MS);
  }

  #close() {
    clearTimeout(this.#timer);
    this.#toast.hidden = true;
  }

  /** @param {unknown} problem */
  #report(problem) {
    if (!(problem instanceof Problem)) throw problem;
    this.#problem(problem.message);
  }
}

/** Calls again after a refusal for too many calls. @param {() => Promise<any>} ask Raises Problem. */
async function patient(ask) {
  for (;;) {
    try {
      return await ask();
    } catch (problem) {
      if (!(problem instanceof Problem) || problem.status !== 429) throw problem;
      await new Promise((resolve) => setTimeout(resolve, problem.pause * 1000));
    }
  }
}
