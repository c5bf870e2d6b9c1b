/** Lines to paste into a terminal, with the token in them. The token is kept in memory only. */

import { el } from './dom.js';

/** @typedef {{ summary: string, label: string, text: string }} Without */
/** @typedef {{ title: string, hint: string, text: string, without?: Without[] }} ReadyLine */

/** @param {string} url @param {string} token @param {string} wheel @returns {ReadyLine[]} */
export function readyLines(url, token, wheel) {
  return [
    {
      title: 'Connect this terminal',
      hint: 'Once in each terminal window.',
      text: `export RELAY_URL=${url} RELAY_TOKEN=${token}`,
    },
    {
      title: 'Send a first event',
      hint: 'A task appears here the moment this returns.',
      text: `curl -sS "$RELAY_URL/api/webhook/cli" \\
  -H "Authorization: Bearer $RELAY_TOKEN" \\
  -H "Content-Type: application/json" \\
  -d '{"event_type": "task_succeeded", "task_id": "hello",
       "ts": "'$(date -u +%FT%TZ)'",
       "payload": {"title": "Hello from my terminal", "message": "It works"}}'`,
    },
    {
      title: 'Run a command of your own',
      hint: 'Put your command in place of “make test”. Its output, progress and result appear here.',
      text: 'relay run -- make test',
      without: [{
        summary: 'No relay command there? Install it with pip.',
        label: 'install',
        text: `pip install ${url}/${wheel}`,
      }, {
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
    },
  ];
}

/** @param {string} token @returns {HTMLElement} */
export function readyLinesView(token) {
  const url = document.baseURI.replace(/[?#].*$/, '').replace(/\/+$/, '');
  const wheel = document.querySelector('meta[name=relay-wheel]')?.getAttribute('content') ?? '';
  return el('div', { class: 'ready' },
    el('p', { class: 'once' },
      el('span', {}, el('strong', { text: 'This token is shown once. ' }), 'Anyone who has it can publish to your stream: treat it like a password.'),
      copyButton(token, 'token', 'Copy token')),
    el('ol', { class: 'steps' }, ...readyLines(url, token, wheel).map(step)),
    // a new tab: this one shows the token, once
    el('p', { class: 'more' }, 'Python, Node, CI, an agent’s hooks? ',
      el('a', { href: 'docs', target: '_blank', rel: 'noopener', text: 'See the API reference' }), '.'));
}

/** @param {ReadyLine} line */
function step({ title, hint, text, without = [] }) {
  return el('li', { class: 'step' },
    el('div', { class: 'step-head' },
      el('h3', { text: title }), el('p', { text: hint }),
      copyButton(text, title)),
    code(text, title),
    ...without.map((other) => el('details', { class: 'without' },
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

/** @param {string} text @returns {Promise<boolean>} */
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
