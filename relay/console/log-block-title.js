/** Over the top of the log: the title of the task whose lines are scrolled into. */

import { byId, followLink } from './dom.js';

/** @typedef {import('./log-layout.js').Entry} Entry */
/** @typedef {{ addresses: import('./log-row.js').Addresses, pickTask: (key: string) => void }} TaskLinks */

export class BlockTitle {
  #links;
  #title = /** @type {HTMLAnchorElement} */ (byId('block-title'));
  #key = '';

  /** @param {TaskLinks} links */
  constructor(links) {
    this.#links = links;
    this.#title.addEventListener('click', (event) => followLink(event, () => links.pickTask(this.#key)));
  }

  /** @param {Entry | undefined} entry the first one in sight; none: the log shows one task, or its top */
  show(entry) {
    const inside = entry !== undefined && entry.line.key !== '' && (entry.what === 'line' || entry.what === 'fold');
    this.#title.hidden = !inside;
    if (!inside || this.#key === entry.line.key) return;
    const { key, title, hue } = entry.line;
    this.#key = key;
    Object.assign(this.#title, { className: `block-title hue-${hue}`, href: this.#links.addresses.task(key), textContent: title });
  }
}
