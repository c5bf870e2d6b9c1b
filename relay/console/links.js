/** Finds addresses in a text. Pure. */

/** @typedef {{ text: string, href: string }} Piece `href` is empty for what is no address */

const ADDRESS = /\bhttps?:\/\/[^\s<>"'`\\^{|}]+/gi;
const SENTENCE_END = /[.,;:!?*…]+$/; // it belongs to the sentence, not to the address
const PAIRS = /** @type {const} */ ([['(', ')'], ['[', ']']]);

/**
 * The text in pieces: addresses of http and https, and what is between them. Text of a producer
 * becomes no other link than to the address that it shows.
 * @param {string} text @param {boolean} [cut] the text goes on elsewhere: an address at its end is not whole
 * @returns {Piece[]}
 */
export function pieces(text, cut = false) {
  const found = [];
  let from = 0;
  for (const match of text.matchAll(ADDRESS)) {
    if (cut && match.index + match[0].length === text.length) continue;
    const address = withoutEnd(match[0]);
    const href = hrefOf(address);
    if (!href) continue;
    if (match.index > from) found.push({ text: text.slice(from, match.index), href: '' });
    found.push({ text: address, href });
    from = match.index + address.length;
  }
  if (from < text.length) found.push({ text: text.slice(from), href: '' });
  return found;
}

/** Without the full stop behind it, and without the bracket that was opened before it. @param {string} address */
function withoutEnd(address) {
  for (;;) {
    let shorter = address.replace(SENTENCE_END, '');
    for (const [open, close] of PAIRS) {
      if (shorter.endsWith(close) && shorter.split(close).length > shorter.split(open).length) shorter = shorter.slice(0, -1);
    }
    if (shorter === address) return address;
    address = shorter;
  }
}

/** The address of a link, or '': a user name in an address makes it look like another host's. @param {string} address */
export function hrefOf(address) {
  try {
    const url = new URL(address);
    const web = url.protocol === 'http:' || url.protocol === 'https:';
    return web && url.username === '' && url.password === '' ? url.href : '';
  } catch {
    return '';
  }
}
