/** Copies text to the clipboard. */

import { el } from './dom.js';

/** Whether it could be copied. @param {string} text @returns {Promise<boolean>} */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // there is no clipboard API on plain http of another host; execCommand works there
    const area = el('textarea', { readonly: true, class: 'sr' });
    area.value = text;
    (document.querySelector('dialog[open]') ?? document.body).append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    return done;
  }
}
