/** JSON on stdout: one document for a command, or one object a line for a stream. Keys are snake_case. */
import { hasEscapedBytes, pathToBytes } from '../../util/path-bytes.js';

export function jsonDocument(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

export function jsonLine(value: unknown): string {
  return `${JSON.stringify(value)}\n`;
}

/** A path in JSON: `path`, or `path_b64` where the name's bytes are not UTF-8. */
export function pathFields(path: string): { path: string } | { path_b64: string } {
  return hasEscapedBytes(path) ? { path_b64: pathToBytes(path).toString('base64') } : { path };
}
