/** The address of what is shown: `#task=ID&line=SEQ`. Pure. */

/** @typedef {{ task: string | null, line: number | null }} Place */

/** @param {string} hash @returns {Place} */
export function placeOf(hash) {
  const fields = new URLSearchParams(hash.replace(/^#/, ''));
  const line = fields.get('line') ?? '';
  return { task: fields.get('task') || null, line: /^[1-9]\d{0,15}$/.test(line) ? Number(line) : null };
}

/** The part of the address behind the path; '' for all tasks. @param {Place} place */
export function hashOf({ task, line }) {
  const fields = new URLSearchParams();
  if (task !== null) fields.set('task', task);
  if (line !== null) fields.set('line', String(line));
  const text = String(fields);
  return text && `#${text}`;
}
