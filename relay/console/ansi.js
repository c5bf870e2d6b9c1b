/** Terminal output as text: colours of letters and of what is behind them are kept, all other control sequences removed. Pure. */

/** @typedef {{ text: string, classes: string }} Span */

const ESC = '\u001b';
// ECMA-48, as relay/client/plain_text.py has it: CSI; OSC (ends with BEL or ST); DCS, SOS, PM and APC (end with ST); other escapes
const SEQUENCE = /\u001b(?:\[([0-?]*)[ -/]*([@-~])?|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[P^_X][^\u001b]*(?:\u001b\\)?|[ -/]*[0-~]?)/g;
// control characters except tab and ESC, and characters that reorder or hide the text around them
const INVISIBLE = /[\u0000-\u0008\u000b-\u001a\u001c-\u001f\u007f-\u009f\p{Bidi_Control}\ufeff]/gu;

/** The text without escape sequences, for searching, titles and screen readers. @param {string} text */
export function plain(text) {
  return (text.includes(ESC) ? text.replace(SEQUENCE, '') : text).replace(INVISIBLE, '');
}

/**
 * The lines of a message. Colours that are on at the end of a line are on at the start of the next.
 * A carriage return overwrites the line, as progress bars do.
 * @param {string} message @returns {string[]}
 */
export function splitLines(message) {
  const lines = message.split(/\r?\n|[\u2028\u2029]/);
  if (lines.length > 1 && lines.at(-1) === '') lines.pop();
  let open = '';
  return lines.map((line) => {
    const overwritten = line.replace(/\r+$/, '').split('\r');
    const shown = open + overwritten[overwritten.length - 1];
    if (line.includes(ESC)) open = colourAtEnd(open + line);
    return shown;
  });
}

/** @param {string} line */
function colourAtEnd(line) {
  const style = new Style();
  for (const [, codes, final] of line.matchAll(SEQUENCE)) if (final === 'm') style.apply(codes);
  return style.codes;
}

/** @param {string} line @returns {Span[]} */
export function spans(line) {
  if (!line.includes(ESC)) return [{ text: line.replace(INVISIBLE, ''), classes: '' }];
  const style = new Style();
  /** @type {Span[]} */
  const found = [];
  let from = 0;
  const add = (/** @type {number} */ to) => {
    const text = line.slice(from, to).replace(INVISIBLE, '');
    if (text) found.push({ text, classes: style.classes });
  };
  for (const match of line.matchAll(SEQUENCE)) {
    add(match.index);
    from = match.index + match[0].length;
    if (match[2] === 'm') style.apply(match[1]);
  }
  add(line.length);
  return found;
}

/** The text style that SGR codes have set. */
class Style {
  bold = false;
  dim = false;
  italic = false;
  underline = false;
  /** @type {number | null} */ colour = null; // 0–15
  /** @type {number | null} */ background = null; // 0–15
  inverse = false;

  /** @param {string} parameters */
  apply(parameters) {
    if (/[<=>?]/.test(parameters)) return; // a private sequence, which is no style
    const codes = parameters.split(';');
    for (let at = 0; at < codes.length; at += 1) {
      const [code, ...parts] = codes[at].split(':').map(Number);
      if (parts.length > 0) this.#set(code, parts); // 4:3, 38:5:9, 48:2::255:0:0
      else if (code === 38 || code === 48) {
        const more = codes.slice(at + 1, at + 3).map(Number);
        this.#set(code, more);
        at += more[0] === 5 ? 2 : 4;
      } else this.#switch(code);
    }
  }

  /** @param {number} code */
  #switch(code) {
    if (code === 0) Object.assign(this, new Style());
    else if (code === 1) this.bold = true;
    else if (code === 2) this.dim = true;
    else if (code === 3) this.italic = true;
    else if (code === 4) this.underline = true;
    else if (code === 7) this.inverse = true;
    else if (code === 22) this.bold = this.dim = false;
    else if (code === 23) this.italic = false;
    else if (code === 24) this.underline = false;
    else if (code === 27) this.inverse = false;
    else if (code >= 30 && code <= 37) this.colour = code - 30;
    else if (code === 39) this.colour = null;
    else if (code >= 40 && code <= 47) this.background = code - 40;
    else if (code === 49) this.background = null;
    else if (code >= 90 && code <= 97) this.colour = code - 82;
    else if (code >= 100 && code <= 107) this.background = code - 92;
  }

  /** A code with parts: a kind of underline, or one of many colours. @param {number} code @param {number[]} parts */
  #set(code, [kind, index]) {
    if (code === 4) this.underline = kind !== 0;
    const colour = kind === 5 && index >= 0 && index < 16 ? index : null;
    if (code === 38) this.colour = colour;
    else if (code === 48) this.background = colour;
  }

  get classes() {
    const names = [];
    if (this.bold) names.push('bold');
    if (this.dim) names.push('dim');
    if (this.italic) names.push('italic');
    if (this.underline) names.push('underline');
    if (this.inverse) names.push(`b${this.colour ?? 'i'}`); // the colours change places
    else if (this.background !== null) names.push(`b${this.background}`);
    else if (this.colour !== null) names.push(`c${this.colour}`);
    return names.join(' ');
  }

  get codes() {
    const codes = [this.bold && 1, this.dim && 2, this.italic && 3, this.underline && 4, this.inverse && 7].filter(Boolean);
    if (this.colour !== null) codes.push(this.colour < 8 ? 30 + this.colour : 82 + this.colour);
    if (this.background !== null) codes.push(this.background < 8 ? 40 + this.background : 92 + this.background);
    return codes.length ? `${ESC}[${codes.join(';')}m` : '';
  }
}
