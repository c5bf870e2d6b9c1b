/** Leads to what made a task fail: the last line on stderr or of an error, and the line that ended the task. */

import { byId } from './dom.js';

/** @typedef {import('./log-store.js').Line} Line */
/** @typedef {import('./relay-stream.d.ts').RelayTask} RelayTask */
/**
 * `shown`: the id of the task that is shown, and the seq of the line that its address names; `lines`: of all tasks, the
 * newest last, in blocks; `reach` reads lines until that of a seq is there.
 * @typedef {{
 *   shown: () => import('./address.js').Place, find: (id: string) => RelayTask | undefined, lines: () => Line[][],
 *   reach: (seq: number) => Promise<boolean>, go: (place: import('./address.js').Place) => void,
 * }} Log
 */

const NEAR_LINES = 12; // between the two, which are seen at once then

/** What the lines have of the end of a task's run. @param {Line[][]} blocks @param {RelayTask} task @returns {{ error: Line | null, end: Line | null, apart: number }} */
export function failureIn(blocks, { task_id: id, first_seq: first, last_seq: last }) {
  /** @type {Line | null} */ let end = null;
  let apart = 0;
  for (const lines of [...blocks].reverse()) {
    for (let at = lines.length - 1; at >= 0 && (lines[at].seq >= first || lines[at].seq === 0); at -= 1) {
      const line = lines[at];
      if (line.key !== id || line.seq > last) continue;
      if (end === null) end = line.kind === 'milestone' && line.tone === 'failed' ? line : null;
      else if (line.kind === 'output' && (line.tone === 'error' || line.tone === 'stderr')) return { error: line, end, apart };
      else if (line.seq !== end.seq) apart += 1;
    }
  }
  return { error: null, end, apart: 0 };
}

export class FailureJump {
  #log;
  #button = byId('head-failure');

  /** @param {Log} log */
  constructor(log) {
    this.#log = log;
    this.#button.addEventListener('click', () => this.jump());
  }

  /** @returns {RelayTask | undefined} the task that is shown, if it has failed */
  #failed() {
    const { task: id } = this.#log.shown();
    const task = id === null ? undefined : this.#log.find(id);
    return task?.state === 'failed' ? task : undefined;
  }

  draw() {
    this.#button.hidden = this.#failed() === undefined;
  }

  /** To the last error, if it is far above the end, and then to the end. */
  async jump() {
    const task = this.#failed();
    if (!task) return;
    let found = failureIn(this.#log.lines(), task);
    if (found.end === null && (await this.#log.reach(task.last_seq))) found = failureIn(this.#log.lines(), task);
    const { error, end, apart } = found;
    const { task: shown, line } = this.#log.shown();
    if (shown !== task.task_id) return; // another one was chosen meanwhile
    const first = error !== null && apart >= NEAR_LINES && line !== error.seq ? error : end;
    this.#log.go({ task: shown, line: first?.seq ?? task.last_seq });
  }
}
