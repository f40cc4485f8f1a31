/** JSON on stdout: one document for a command, or one object a line for a stream. Keys are snake_case. */
import { hasEscapedBytes, pathToBytes } from '../../util/path-bytes.js';

export function jsonDocument(value: unknown): string {
  return `${escaped(JSON.stringify(value, undefined, 2))}\n`;
}

export function jsonLine(value: unknown): string {
  return `${escaped(JSON.stringify(value))}\n`;
}

// Of what `printable` escapes all that JSON itself leaves as it is.
const UNSAFE =
  /[\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g;

/** The same value: JSON, too, is looked at on terminals, and names in it come from other machines. */
function escaped(json: string): string {
  return json.replace(
    UNSAFE,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** A path in JSON: `path`, or `path_b64` where the name's bytes are not UTF-8. */
export function pathFields(path: string): { path: string } | { path_b64: string } {
  return hasEscapedBytes(path) ? { path_b64: pathToBytes(path).toString('base64') } : { path };
}
