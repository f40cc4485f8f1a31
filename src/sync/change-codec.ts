/**
 * Manifest changes as bytes: on the wire, in change-set files, and as what a manifest id is the digest
 * of. A record is its length, then the body; every number is checked before it is believed, because
 * the bytes come from the other side.
 *
 *     record    varint length of the body | body                        a body has at most 16 KiB
 *     delete    0 | path
 *     file      1 | path | varint mode | varint size | varint mtime µs | digest, 32 bytes
 *     directory 2 | path | varint mode
 *     symlink   3 | path | target, prefixed with its length
 *     file      4 | as 1, the time is before 1970 and its sign is dropped
 *
 * A path is prefixed with its length and holds the name's own bytes.
 */
import { RmtxError } from '../errors.js';
import { DIGEST_BYTES, digestBytes, toDigest } from '../store/digest.js';
import { ByteReader, BytesError } from '../util/bytes.js';
import type { ByteWriter } from '../util/bytes.js';
import { pathFromBytes, pathToBytes } from '../util/path-bytes.js';
import { printable } from '../util/printable.js';
import { comparePaths, parseWorkspacePath } from './entry.js';
import type { Entry, ManifestChange, WorkspacePath } from './entry.js';

export const MAX_RECORD_BYTES = 16 * 1024;
/** PATH_MAX on Linux: a longer path cannot be named in one call anywhere. */
export const MAX_PATH_BYTES = 4096;
/** PATH_MAX less the closing NUL: no link on Linux is longer. */
const MAX_TARGET_BYTES = 4095;
const MAX_MODE = 0o777;
const LENGTH_BYTES = 3;

const DELETE = 0;
const FILE = 1;
const DIRECTORY = 2;
const SYMLINK = 3;
const FILE_BEFORE_1970 = 4;

const NO_BYTES = new Uint8Array(0);
const NO_FIELDS = { mode: 0, size: 0, mtimeUs: 0, digest: NO_BYTES, target: NO_BYTES };

/** An entry with its texts as bytes, as a packed table holds it. */
export interface RawEntry {
  kind: Entry['kind'];
  path: Uint8Array;
  mode: number;
  size: number;
  mtimeUs: number;
  digest: Uint8Array;
  target: Uint8Array;
}

/** One to be filled row by row. */
export function createRawEntry(): RawEntry {
  return { kind: 'file', path: NO_BYTES, ...NO_FIELDS };
}

/** Appends one record. The order of records is the caller's: walk order, no path twice. */
export function encodeChange(writer: ByteWriter, change: ManifestChange): void {
  if (change.type === 'delete') encodeDelete(writer, pathToBytes(change.path));
  else encodeUpsert(writer, toRaw(change.entry));
}

export function encodeDelete(writer: ByteWriter, path: Uint8Array): void {
  writer
    .varint(1 + prefixedLength(path))
    .u8(DELETE)
    .prefixed(path);
}

/** Appends the record of an upsert. Throws a RangeError for what no record can hold: that is a bug. */
export function encodeUpsert(writer: ByteWriter, entry: RawEntry): void {
  const path = entry.path;
  const head = 1 + prefixedLength(path);
  if (entry.kind === 'directory') {
    writer
      .varint(head + varintLength(entry.mode))
      .u8(DIRECTORY)
      .prefixed(path)
      .varint(entry.mode);
    return;
  }
  if (entry.kind === 'symlink') {
    writer
      .varint(head + prefixedLength(entry.target))
      .u8(SYMLINK)
      .prefixed(path);
    writer.prefixed(entry.target);
    return;
  }
  const time = Math.abs(entry.mtimeUs);
  const numbers = varintLength(entry.mode) + varintLength(entry.size) + varintLength(time);
  writer.varint(head + numbers + DIGEST_BYTES);
  writer.u8(entry.mtimeUs < 0 ? FILE_BEFORE_1970 : FILE).prefixed(path);
  writer.varint(entry.mode).varint(entry.size).varint(time).raw(entry.digest);
}

/**
 * Turns a byte stream, cut anywhere, back into changes. Refuses (BAD_MESSAGE) whatever is not a change
 * in walk order; after that the decoder is of no more use.
 */
export class ChangeDecoder {
  #rest = Buffer.alloc(0);
  #lastPath: WorkspacePath | '' = '';

  /** The changes that these bytes complete. Nothing returned refers to `bytes` afterwards. */
  push(bytes: Uint8Array): ManifestChange[] {
    const input = this.#rest.length === 0 ? asBuffer(bytes) : Buffer.concat([this.#rest, bytes]);
    const changes: ManifestChange[] = [];
    const reader = new ByteReader(input);
    for (;;) {
      const frame = frameAt(input, reader.position);
      if (frame === undefined) break;
      changes.push(this.#decode(reader, frame));
    }
    this.#rest = Buffer.from(input.subarray(reader.position));
    return changes;
  }

  /** Throws where the stream ended inside a record. */
  end(): void {
    if (this.#rest.length > 0) throw badRecord('the list of changes ends inside a record');
  }

  #decode(reader: ByteReader, frame: Frame): ManifestChange {
    let change: ManifestChange;
    try {
      reader.raw(frame.start - reader.position);
      change = decodeBody(reader);
    } catch (error) {
      if (error instanceof BytesError) throw badRecord(`malformed change record: ${error.message}`);
      throw error;
    }
    // Fields longer than the record would have been read out of the next one.
    if (reader.position !== frame.end) throw badRecord('change record of a wrong length');
    const path = change.type === 'delete' ? change.path : change.entry.path;
    if (this.#lastPath !== '' && comparePaths(this.#lastPath, path) >= 0)
      throw badRecord(`${printable(path)} is out of order in a list of changes`);
    this.#lastPath = path;
    return change;
  }
}

interface Frame {
  readonly start: number;
  readonly end: number;
}

/** Where the body of the record at `position` lies, or undefined while it is not all there. */
function frameAt(input: Buffer, position: number): Frame | undefined {
  let length = 0;
  for (let count = 0; count < LENGTH_BYTES; count++) {
    const byte = input[position + count];
    if (byte === undefined) return undefined;
    length += (byte & 0x7f) * 2 ** (7 * count);
    if (byte >= 0x80) continue;
    if (length > MAX_RECORD_BYTES) break;
    const start = position + count + 1;
    return start + length <= input.length ? { start, end: start + length } : undefined;
  }
  throw badRecord(`change record of more than ${MAX_RECORD_BYTES} bytes`);
}

function decodeBody(reader: ByteReader): ManifestChange {
  const tag = reader.u8();
  const path = decodePath(reader);
  if (tag === DELETE) return { type: 'delete', path };
  return { type: 'upsert', entry: decodeEntry(reader, tag, path) };
}

function decodeEntry(reader: ByteReader, tag: number, path: WorkspacePath): Entry {
  switch (tag) {
    case FILE:
    case FILE_BEFORE_1970: {
      const mode = decodeMode(reader);
      const size = reader.varint();
      const time = reader.varint();
      const mtimeUs = tag === FILE_BEFORE_1970 && time > 0 ? -time : time;
      return {
        kind: 'file',
        path,
        mode,
        size,
        mtimeUs,
        digest: toDigest(reader.raw(DIGEST_BYTES)),
      };
    }
    case DIRECTORY:
      return { kind: 'directory', path, mode: decodeMode(reader) };
    case SYMLINK: {
      const target = reader.prefixed(MAX_TARGET_BYTES);
      if (target.length === 0 || target.includes(0))
        throw new BytesError('link target not allowed');
      return { kind: 'symlink', path, target: pathFromBytes(target) };
    }
    default:
      throw new BytesError(`unknown kind of record ${tag}`);
  }
}

function decodePath(reader: ByteReader): WorkspacePath {
  const text = pathFromBytes(reader.prefixed(MAX_PATH_BYTES));
  const path = parseWorkspacePath(text);
  if (path === undefined) throw badRecord(`path not allowed: ${printable(text) || 'empty'}`);
  return path;
}

function decodeMode(reader: ByteReader): number {
  const mode = reader.varint();
  if (mode > MAX_MODE) throw new BytesError(`mode ${mode.toString(8)} is not permission bits`);
  return mode;
}

function toRaw(entry: Entry): RawEntry {
  const raw = { kind: entry.kind, path: pathToBytes(entry.path), ...NO_FIELDS };
  if (entry.kind === 'directory') return { ...raw, mode: entry.mode };
  if (entry.kind === 'symlink') return { ...raw, target: pathToBytes(entry.target) };
  const { mode, size, mtimeUs } = entry;
  return { ...raw, mode, size, mtimeUs, digest: digestBytes(entry.digest) };
}

function prefixedLength(bytes: Uint8Array): number {
  return varintLength(bytes.length) + bytes.length;
}

function varintLength(value: number): number {
  let length = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) length += 1;
  return length;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function badRecord(message: string): RmtxError {
  return new RmtxError('ERR_RMTX_BAD_MESSAGE', message);
}
