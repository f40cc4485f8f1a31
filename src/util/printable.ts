import { hasEscapedBytes, pathToBytes } from './path-bytes.js';

// C0, DEL, C1, zero-width and bidirectional controls, line and paragraph separators: what could move
// the cursor, hide text or reorder a line when a name from elsewhere reaches a terminal or a log.
const UNSAFE =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g;

/**
 * Text from a file name, a peer or a label, safe to print on one line: every control character
 * becomes `\xNN` or `\u{NNNN}`, every byte that is not UTF-8 becomes `\xNN`.
 */
export function printable(text: string): string {
  const whole = hasEscapedBytes(text) ? escapeRawBytes(text) : text;
  return whole.replace(UNSAFE, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return code < 0x100
      ? `\\x${code.toString(16).padStart(2, '0')}`
      : `\\u{${code.toString(16).padStart(4, '0')}}`;
  });
}

function escapeRawBytes(text: string): string {
  return Array.from(text, (character) =>
    hasEscapedBytes(character) ? `\\x${(pathToBytes(character)[0] ?? 0).toString(16)}` : character,
  ).join('');
}
