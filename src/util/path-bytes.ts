/**
 * File names are bytes; JavaScript strings are UTF-16. A name that is valid UTF-8 is the string you
 * expect. Each byte that is not becomes one lone low surrogate U+DC80…U+DCFF (Python's
 * `surrogateescape`, PEP 383), so that every name survives the way there and back, sorts, and can be
 * a Map key. Only such names need a Buffer when they are handed to `fs`.
 */

const REPLACEMENT = '\uFFFD';
const LONE_ESCAPE = /[\uDC80-\uDCFF]/;

/** Bytes of a name → string. */
export function pathFromBytes(bytes: Buffer): string {
  const text = bytes.toString('utf8');
  if (!text.includes(REPLACEMENT)) return text;
  return decodeWithEscapes(bytes);
}

/** String → bytes of the name: the exact inverse of {@link pathFromBytes}. */
export function pathToBytes(path: string): Buffer {
  if (!hasEscapedBytes(path)) return Buffer.from(path, 'utf8');
  const parts: Buffer[] = [];
  let start = 0;
  for (let index = 0; index < path.length; index++) {
    if (!isLoneEscape(path, index)) continue;
    if (index > start) parts.push(Buffer.from(path.slice(start, index), 'utf8'));
    parts.push(Buffer.of(path.charCodeAt(index) - 0xdc00));
    start = index + 1;
  }
  if (start < path.length) parts.push(Buffer.from(path.slice(start), 'utf8'));
  return Buffer.concat(parts);
}

/** True when the path holds a byte that is not UTF-8: `fs` must be given a Buffer then. */
export function hasEscapedBytes(path: string): boolean {
  if (!LONE_ESCAPE.test(path)) return false;
  for (let index = 0; index < path.length; index++) if (isLoneEscape(path, index)) return true;
  return false;
}

/** What to hand to a function of `node:fs` for this path. */
export function toFsPath(path: string): string | Buffer {
  return hasEscapedBytes(path) ? pathToBytes(path) : path;
}

/** A low surrogate that no high surrogate precedes, in the range that stands for a raw byte. */
function isLoneEscape(path: string, index: number): boolean {
  const unit = path.charCodeAt(index);
  if (unit < 0xdc80 || unit > 0xdcff) return false;
  const previous = index > 0 ? path.charCodeAt(index - 1) : 0;
  return previous < 0xd800 || previous > 0xdbff;
}

function decodeWithEscapes(bytes: Buffer): string {
  let out = '';
  let index = 0;
  while (index < bytes.length) {
    const length = utf8SequenceLength(bytes, index);
    if (length === 0) {
      out += String.fromCharCode(0xdc00 + (bytes[index] ?? 0));
      index += 1;
    } else {
      out += bytes.toString('utf8', index, index + length);
      index += length;
    }
  }
  return out;
}

/** Length of the well-formed UTF-8 sequence at `index` (Unicode 15, table 3-7), or 0. */
function utf8SequenceLength(bytes: Buffer, index: number): number {
  const first = bytes[index] ?? 0;
  const second = bytes[index + 1] ?? 0;
  const isContinuation = (offset: number): boolean =>
    ((bytes[index + offset] ?? 0) & 0xc0) === 0x80;
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return isContinuation(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    if (first === 0xe0 && second < 0xa0) return 0;
    if (first === 0xed && second > 0x9f) return 0;
    return isContinuation(1) && isContinuation(2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    if (first === 0xf0 && second < 0x90) return 0;
    if (first === 0xf4 && second > 0x8f) return 0;
    return isContinuation(1) && isContinuation(2) && isContinuation(3) ? 4 : 0;
  }
  return 0;
}
