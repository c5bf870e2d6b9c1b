/** Lines to paste into a terminal. A token or link in them is kept in memory only. */

import { copyText } from './copy.js';
import { el } from './dom.js';

/** @typedef {{ summary: string, label: string, text: string }} Other */
/** @typedef {{ title: string, hint: string, text: string, others?: Other[] }} ReadyLine */
/** @typedef {'publish' | 'watch'} Use */

const EVENT = '"event_type": "task_succeeded", "task_id": "hello"';

/** @param {string} url @param {string} wheel @returns {Other} */
const install = (url, wheel) => ({ summary: 'No relay command there? Install it with pip.', label: 'install', text: `pip install ${url}/${wheel}` });

/** @param {string} url @param {string} token */
const exported = (url, token) => `export RELAY_URL=${url} RELAY_TOKEN=${token}`;

const HELLO_WITH_CURL = `curl -sS "$RELAY_URL/api/webhook/cli" \\
  -H "Authorization: Bearer $RELAY_TOKEN" \\
  -H "Content-Type: application/json" \\
  -d '{${EVENT},
       "ts": "'$(date -u +%FT%TZ)'",
       "payload": {"title": "Hello from my terminal", "message": "It works"}}'`;

/** @type {ReadyLine} */
const RUN = {
  title: 'Run a command of your own',
  hint: 'Put your command in place of “make test”. Its output, progress and result appear here.',
  text: 'relay run -- make test',
  others: [{
    summary: 'No Python there? Use curl.',
    label: 'with curl',
    text: `relay_send() {
  curl -sS "$RELAY_URL/api/webhook/cli" -o /dev/null \\
    -H "Authorization: Bearer $RELAY_TOKEN" \\
    -H "Content-Type: application/json" \\
    -d "{\\"event_type\\": \\"$1\\", \\"task_id\\": \\"make\\",
         \\"ts\\": \\"$(date -u +%FT%TZ)\\", \\"payload\\": {$2}}"
}
relay_send task_started '"title": "make"'
make; code=$?
[ $code -eq 0 ] && end=task_succeeded || end=task_failed
relay_send $end "\\"exit_code\\": $code"`,
  }],
};

/**
 * For a terminal of the person at this page: `relay login` gives it a session of the same stream.
 * The token serves places without the program.
 * @param {string} url @param {string} wheel @param {string} token @param {string} link @returns {ReadyLine[]}
 */
export function linesWithLink(url, wheel, token, link) {
  return [
    {
      title: 'Connect this terminal',
      hint: 'Once on each machine. The link works once, within five minutes.',
      text: `relay login '${link}'`,
      others: [install(url, wheel), { summary: 'No Python there? Use the token with curl.', label: 'with curl', text: exported(url, token) }],
    },
    {
      title: 'Send a first event',
      hint: 'A task appears here the moment this returns.',
      text: 'relay send task_succeeded --task-id hello --title "Hello from my terminal" --message "It works"',
      others: [{ summary: 'No Python there? Use curl.', label: 'with curl', text: HELLO_WITH_CURL }],
    },
    RUN,
  ];
}

/** For a script, a CI job, another machine. @param {string} url @param {string} wheel @param {string} token @param {Use} use @returns {ReadyLine[]} */
export function linesWithToken(url, wheel, token, use) {
  const connect = { title: 'Connect this terminal', hint: 'Once in each terminal window.', text: exported(url, token), others: [install(url, wheel)] };
  if (use === 'watch') {
    return [connect, { title: 'Watch the stream', hint: 'This token cannot publish.', text: 'relay tail' }];
  }
  return [connect, { title: 'Send a first event', hint: 'A task appears here the moment this returns.', text: HELLO_WITH_CURL }, RUN];
}

/** The address of this page, and that of the wheel there. */
function addresses() {
  const url = document.baseURI.replace(/[?#].*$/, '').replace(/\/+$/, '');
  return { url, wheel: document.querySelector('meta[name=relay-wheel]')?.getAttribute('content') ?? '' };
}

/**
 * `newLink` gives another link, or '' after it has shown why not.
 * @param {string} token @param {string} link @param {() => Promise<string>} newLink
 */
export function readyLinesForMe(token, link, newLink) {
  const { url, wheel } = addresses();
  const connect = (/** @type {string} */ fresh) => {
    const shown = step(linesWithLink(url, wheel, token, fresh)[0]);
    const again = el('button', { type: 'button', class: 'text', text: 'New link', onclick: async () => {
      const other = await newLink();
      if (other === '') return;
      const next = connect(other);
      shown.replaceWith(next);
      next.querySelector('button')?.focus();
    } });
    shown.querySelector('.step-head p')?.append(' ', again);
    return shown;
  };
  return view(token, 'publish', [connect(link), ...linesWithLink(url, wheel, token, link).slice(1).map(step)]);
}

/** @param {string} token @param {Use} use */
export function readyLinesView(token, use) {
  const { url, wheel } = addresses();
  return view(token, use, linesWithToken(url, wheel, token, use).map(step));
}

/** @param {string} token @param {Use} use @param {HTMLElement[]} steps @returns {HTMLElement} */
function view(token, use, steps) {
  return el('div', { class: 'ready' },
    el('p', { class: 'once' },
      el('span', {}, el('strong', { text: 'This token is shown once. ' }), `Anyone who has it can ${use === 'watch' ? 'watch' : 'publish to'} your stream: treat it like a password.`),
      copyButton(token, 'token', 'Copy token')),
    el('ol', { class: 'steps' }, ...steps),
    // a new tab: this one shows the token, once
    el('p', { class: 'more' }, 'Python, Node, CI, an agent’s hooks? ',
      el('a', { href: 'docs', target: '_blank', rel: 'noopener', text: 'See the API reference' }), '.'));
}

/** @param {ReadyLine} line */
function step({ title, hint, text, others = [] }) {
  return el('li', { class: 'step' },
    el('div', { class: 'step-head' },
      el('h3', { text: title }), el('p', { text: hint }),
      copyButton(text, title)),
    code(text, title),
    ...others.map((other) => el('details', { class: 'without' },
      el('summary', { text: other.summary }),
      copyButton(other.text, `${title}, ${other.label}`), code(other.text, `${title}, ${other.label}`))));
}

/** @param {string} text @param {string} what */
function code(text, what) {
  return el('pre', { tabindex: 0, role: 'group', 'aria-label': what }, el('code', { text }));
}

/** @param {string} text @param {string} what @param {string} [label] */
function copyButton(text, what, label = 'Copy') {
  const button = el('button', { type: 'button', class: 'quiet small', 'aria-label': `Copy: ${what}`, text: label });
  /** @param {string} shown @param {string} spoken */
  const setLabel = (shown, spoken) => {
    button.textContent = shown;
    button.setAttribute('aria-label', spoken);
  };
  button.addEventListener('click', async () => {
    let result = 'Copied';
    if (!(await copyText(text))) {
      const lines = button.closest('.without, .step')?.querySelector('code');
      if (lines) getSelection()?.selectAllChildren(lines);
      result = lines ? 'Press Ctrl-C' : 'Could not copy';
    }
    setLabel(result, `${result}: ${what}`);
    setTimeout(() => setLabel(label, `Copy: ${what}`), 1_600);
  });
  return button;
}
