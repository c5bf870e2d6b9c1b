/** Text of a program, with what is invisible in it made visible. Pure. */

// Controls but tab and line end, and the marks that reorder the text around them: with these, a
// question could be read as another one.
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\p{Bidi_Control}]/gu;

/** @param {string} text */
export function visible(text) {
  return text.replace(HIDDEN, (mark) => `⟨U+${mark.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}⟩`);
}
