/** Fields of a payload, which may be any JSON. Pure. */

/** @param {unknown} payload @param {string} name */
export function field(payload, name) {
  return payload !== null && typeof payload === 'object' && Object.hasOwn(payload, name)
    ? /** @type {Record<string, unknown>} */ (payload)[name]
    : undefined;
}

/** @param {unknown} payload @param {string} name */
export function number(payload, name) {
  const value = field(payload, name);
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}
