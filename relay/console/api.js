/** Relay's HTTP calls as this page makes them: same origin, with the session's cookie. */

/** A problem document of the server (RFC 9457), or no answer at all (status 0). */
export class Problem extends Error {
  /** @param {number} status @param {string} code @param {string} detail @param {number} retryAfter seconds */
  constructor(status, code, detail, retryAfter = 0) {
    super(detail);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

/**
 * @param {string} method @param {string} path without a leading slash, so that Relay may be served below a path
 * @param {{ body?: unknown, ndjson?: unknown[], token?: string, signal?: AbortSignal, keepalive?: boolean }} [options]
 * @returns {Promise<any>} Raises Problem.
 */
export async function call(method, path, { body, ndjson, token, signal, keepalive } = {}) {
  /** @type {Record<string, string>} */
  const headers = {};
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (ndjson) headers['Content-Type'] = 'application/x-ndjson';
  const content = ndjson ? ndjson.map((line) => JSON.stringify(line)).join('\n') : body === undefined ? undefined : JSON.stringify(body);
  /** @type {Response} */
  let response;
  try {
    response = await fetch(new URL(path, document.baseURI), { method, headers, body: content, signal, keepalive });
  } catch (failure) {
    if (signal?.aborted) throw failure;
    throw new Problem(0, 'unreachable', 'Relay does not answer.');
  }
  if (response.ok) return response.status === 204 ? null : response.json();
  const problem = await response.json().catch(() => ({}));
  throw new Problem(
    response.status,
    problem.code ?? 'unknown',
    problem.detail ?? `Relay answered ${response.status}.`,
    Number(response.headers.get('Retry-After')) || 0,
  );
}

/** @typedef {{ token_id: string, name: string | null, scopes: string[], created_at: string, expires_at: string, last_used_at: string | null }} TokenInfo */
/** @typedef {{ user_id: string, cursor: string, connections: number, tokens: TokenInfo[] }} Me */
/** @typedef {{ token: string, token_id: string }} MadeToken */
/** @typedef {{ link: string, expires_in: number, qr: string }} NewLink */

/** @returns {Promise<Me>} */
export const getMe = () => call('GET', 'api/me');

/** @param {{ name?: string, expires_in?: number, scopes?: string[] }} wanted @returns {Promise<MadeToken>} */
export const makeToken = (wanted) => call('POST', 'api/token', { body: wanted });

/** A one-time link to this stream; it replaces an earlier one. @returns {Promise<NewLink>} */
export const makeLink = () => call('POST', 'api/session/link');

/** @param {string} token_id */
export const revokeToken = (token_id) => call('POST', 'api/token/revoke', { body: { token_id } });

/** Signs in as the user of the cookie, or as a new one. @returns {Promise<{ user_id: string }>} */
export async function signIn() {
  try {
    return await call('POST', 'api/user');
  } catch (problem) {
    // the same answer refuses a stale cookie and deletes it; the second request comes without
    if (problem instanceof Problem && problem.status === 401) return call('POST', 'api/user');
    throw problem;
  }
}
