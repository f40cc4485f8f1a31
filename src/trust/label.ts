import { printable } from '../util/printable.js';

/** Enough for any host name; short enough for a line of a table. */
export const MAX_LABEL_LENGTH = 64;

/**
 * A name that the other side chose for itself, safe to store and to print: control characters and
 * whatever reorders or hides text are escaped, ill-formed UTF-16 is replaced, and it is cut to
 * {@link MAX_LABEL_LENGTH}. Never empty. Applying it again changes nothing.
 */
export function safeLabel(text: string): string {
  const wellFormed = Buffer.from(text.slice(0, 4 * MAX_LABEL_LENGTH)).toString('utf8');
  const characters = Array.from(printable(wellFormed).trim());
  let label = '';
  for (const character of characters) {
    if (label.length + character.length > MAX_LABEL_LENGTH) break;
    label += character;
  }
  return label.trim() === '' ? 'unnamed' : label.trim();
}
