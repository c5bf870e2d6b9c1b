/** Builds elements through the DOM, so that payloads are always shown as text, never as HTML. */

/** @typedef {Record<string, string | number | boolean | null | undefined | ((event: any) => void)>} Props */

/**
 * An element. `on…` adds a listener, `text` sets the content, false and null omit an attribute.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag @param {Props} [props] @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function el(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === 'function') element.addEventListener(name.slice(2), value);
    else if (name === 'text') element.textContent = String(value);
    else if (value === true) element.setAttribute(name, '');
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...children);
  return element;
}

/**
 * The element of this page with that id.
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id @returns {T}
 */
export function byId(id) {
  return /** @type {T} */ (document.getElementById(id));
}

/** Changes the text only if it differs: writing it costs a layout. @param {Element} element @param {string} text */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Goes where a link leads without loading the page anew, unless it is to open elsewhere. @param {MouseEvent} event @param {() => void} go */
export function followLink(event, go) {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  go();
}

/** Paths in a 16 × 16 view box. */
const ICONS = {
  running: 'M8 2.5a5.5 5.5 0 1 1-5.5 5.5',
  succeeded: 'm3 8.5 3.5 3.5L13 4.5',
  failed: 'M4 4l8 8M12 4l-8 8',
  waiting: 'M6 6a2 2 0 1 1 2.6 1.9c-.5.2-.6.5-.6 1.1v.6M8 12v.2',
  lost: 'M2.5 8h3M10.5 8h3M8 2.5v3M8 10.5v3',
  canceled: 'M4 8h8',
  bell: 'M4 11V7a4 4 0 0 1 8 0v4l1.2 1.5H2.8zM6.7 14.5h2.6',
  theme: 'M8 2.5v11a5.5 5.5 0 0 0 0-11zM8 2.5a5.5 5.5 0 0 0 0 11',
  device: 'M5 1.5h6a1 1 0 0 1 1 1v11a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1v-11a1 1 0 0 1 1-1zM7 12.2h2',
  send: 'M14 2 2 7l4.5 2.5L9 14zM14 2 6.5 9.5',
  close: 'M4 4l8 8M12 4l-8 8',
};

/** @param {keyof typeof ICONS} name */
export function icon(name) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  for (const [attribute, value] of Object.entries({ viewBox: '0 0 16 16', width: '16', height: '16', 'aria-hidden': 'true', class: `i i-${name}` })) {
    svg.setAttribute(attribute, value);
  }
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  path.setAttribute('d', ICONS[name]);
  svg.append(path);
  return svg;
}
