/** What the page's dialogs have in common: a head with a title and a button that closes, and the way out beside them. */

import { el, icon } from './dom.js';

/**
 * Fills a dialog of the page, which is labelled by the title. A press on the backdrop closes it, as Esc does.
 * @param {HTMLDialogElement} dialog @param {string} title @param {...Node} children
 */
export function fillDialog(dialog, title, ...children) {
  dialog.append(
    el('div', { class: 'dialog-head' },
      el('h2', { id: `${dialog.id}-title`, text: title }),
      el('button', { type: 'button', class: 'icon', 'aria-label': 'Close', onclick: () => dialog.close() }, icon('close'))),
    ...children);
  dialog.addEventListener('click', ({ target }) => {
    if (target === dialog) dialog.close(); // the backdrop: what is on the dialog has other targets
  });
}
