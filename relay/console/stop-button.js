/** Asks the task of the head to stop, after a question, and shows that it was asked to until it has ended. */

import { Problem, stopTask } from './api.js';
import { byId, el, setText } from './dom.js';
import { titleOf } from './task-names.js';
import { isOver } from './task-words.js';
import { duration } from './times.js';

/** @typedef {import('./relay-stream.d.ts').RelayTask} RelayTask */

const WORDS = 'Its program is asked to stop. A command of relay run gets an interrupt signal, as by Ctrl-C; if it has not ended 10 seconds later it is terminated, and after another 10 seconds killed. What it has not saved is lost.';
const ENDED = 'The run has ended. Nothing was stopped.';

export class StopButton {
  #find;
  #button = el('button', { type: 'button', class: 'text bad', text: 'Stop', hidden: true, onclick: () => this.#ask() });
  #note = el('span', { class: 'stop-note', role: 'status' });
  #since = el('span', { class: 'stop-since' }); // beside the note: what counts seconds is not announced
  /** @type {RelayTask | undefined} */ #task;
  #requested = ''; // the run that was asked, while the stream does not say so yet
  #refused = { run: '', words: '' };
  /** @type {HTMLDialogElement | null} */ #dialog = null;
  #asked = ''; // the run that the dialog is about

  /** @param {(id: string) => RelayTask | undefined} find a task as it is known now */
  constructor(find) {
    this.#find = find;
    byId('head-stop').append(this.#button, this.#note, this.#since);
  }

  /** @param {RelayTask | undefined} task of the head @param {number} now ms */
  draw(task, now) {
    this.#task = task;
    const run = runOf(task);
    const over = task === undefined || isOver(task);
    const asked = task?.stop_requested_at ?? null;
    const stopping = !over && (asked !== null || this.#requested === run);
    const focused = document.activeElement === this.#button;
    this.#button.hidden = over || stopping || !task.stoppable;
    if (focused && this.#button.hidden) byId('head-copy').focus();
    const words = stopping ? 'Stopping…' : this.#refused.run === run ? this.#refused.words : '';
    setText(this.#note, words);
    setText(this.#since, stopping && asked !== null ? sinceWords(now - Date.parse(asked)) : '');
    byId('head-stop').hidden = this.#button.hidden && words === '';
    if (this.#dialog !== null && (run !== this.#asked || over || stopping)) this.#dialog.close(); // what it asks about is no longer there
  }

  #ask() {
    const task = this.#task;
    if (task === undefined || this.#dialog !== null) return;
    this.#asked = runOf(task);
    const dialog = el('dialog', { class: 'device device-ask', 'aria-labelledby': 'stop-title', 'aria-describedby': 'stop-words' },
      el('h2', { id: 'stop-title' }, 'Stop ', el('bdi', { text: titleOf(task) }), '?'),
      el('p', { id: 'stop-words', class: 'lede', text: WORDS }),
      el('div', { class: 'device-row' },
        el('button', { type: 'button', class: 'quiet', autofocus: true, text: 'Keep it running', onclick: () => dialog.close() }),
        el('button', { type: 'button', class: 'danger', text: 'Stop it', onclick: () => dialog.close('stop') })));
    dialog.addEventListener('close', () => {
      dialog.remove();
      this.#dialog = null;
      if (dialog.returnValue === 'stop') this.#stop(task);
      else if (this.#hasEnded(task)) this.#refuse(runOf(this.#find(task.task_id)), ENDED);
    });
    this.#dialog = dialog;
    document.body.append(dialog);
    dialog.showModal();
  }

  /** @param {RelayTask} task */
  async #stop(task) {
    const run = runOf(task);
    if (this.#hasEnded(task)) return this.#refuse(runOf(this.#find(task.task_id)), ENDED);
    this.#refused = { run: '', words: '' };
    this.#requested = run;
    this.draw(this.#task, Date.now());
    try {
      const found = await stopTask(task.task_id, task.run);
      this.#requested = '';
      this.draw(runOf(this.#task) === runOf(found) ? found : this.#task, Date.now());
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      this.#requested = '';
      if (this.#hasEnded(task)) this.#refuse(runOf(this.#find(task.task_id)), ENDED);
      else this.#refuse(run, refusalWords(problem));
    }
  }

  /** Whether this run has ended, by what the page knows now. @param {RelayTask} task */
  #hasEnded(task) {
    const present = this.#find(task.task_id);
    return present !== undefined && (present.run !== task.run || isOver(present));
  }

  /** @param {string} run @param {string} words */
  #refuse(run, words) {
    this.#refused = { run, words };
    this.draw(this.#task, Date.now());
  }
}

/** A stop belongs to its run. @param {RelayTask | undefined} task */
const runOf = (task) => (task === undefined ? '' : `${task.run} ${task.task_id}`);

/** @param {number} milliseconds */
const sinceWords = (milliseconds) => (milliseconds < 5_000 ? '' : `asked ${duration(milliseconds / 1000, true)} ago`);

/** @param {Problem} problem */
function refusalWords({ status, code, message, retryAfter }) {
  if (code === 'not_stoppable') return 'It was not stopped: it has ended, or its program does not listen for a stop.';
  if (status === 404) return 'Relay knows no task of this id any more.';
  if (status === 429) return `Too many requests. Try again in ${Math.max(1, retryAfter)} s.`;
  if (status === 0 || status >= 500) return 'Relay does not answer, so it is not known whether the task was asked to stop.';
  return `It was not stopped: ${message}`;
}
