/**
 * Entry tables on disk. The columns as they lie in memory, so that loading is one read and no parsing;
 * the byte order is the machine's, since a table never travels. A SHA-256 over everything tells a torn
 * or damaged file: it is refused whole, and whoever owns it starts without it.
 *
 *     8 magic and version | u32 rows | u32 bytes of text | u32 0 | u32 0
 *     32 manifest id | 32 SHA-256 of all the rest | the columns, then the text, each padded to 8 bytes
 */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { RmtxError, isRmtxError } from '../errors.js';
import { readFileIfExists } from '../util/atomic-file.js';
import { writePartsAtomic } from '../util/atomic-parts.js';
import { assemble, bytesOf, columnTypes } from './entry-columns.js';
import { EntryTable, manifestIdBytes, toManifestId } from './entry-table.js';
import type { ManifestId } from './entry.js';

const MAGIC = Buffer.from('rmtxtbl\u0001', 'latin1');
const ID_OFFSET = 24;
const CHECKSUM_OFFSET = 56;
const HEADER_BYTES = 88;
const ALIGNMENT = 8;

/**
 * The bytes of a table in parts, which are views of its own memory but for the first and the padding,
 * so that a large table is not copied to be written. Computes the manifest id.
 */
export function encodeEntryTable(table: EntryTable): Buffer[] {
  const columns = table.columns;
  const header = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(header);
  headerNumbers(header).set([columns.length, columns.textLength]);
  manifestIdBytes(table.manifestId).copy(header, ID_OFFSET);
  const body: Buffer[] = [];
  for (const [name, , width] of columnTypes)
    addPadded(body, bytesOf(columns[name].subarray(0, columns.length * width)));
  addPadded(body, bytesOf(columns.text.subarray(0, columns.textLength)));
  checksum(header, body).copy(header, CHECKSUM_OFFSET);
  return [header, ...body];
}

/**
 * The table of these bytes, which it may keep as its memory. Throws STATE_CORRUPT for anything that
 * {@link encodeEntryTable} of this version did not make on a machine like this one.
 */
export function decodeEntryTable(bytes: Buffer): EntryTable {
  if (bytes.length < HEADER_BYTES || !bytes.subarray(0, MAGIC.length).equals(MAGIC))
    throw corrupt('this is no entry table of this version');
  // A view of 8-byte numbers must start at a multiple of 8; a Buffer out of node's pool may not.
  const whole = bytes.byteOffset % ALIGNMENT === 0 ? bytes : unpooledCopy(bytes);
  const [length = 0, textLength = 0] = headerNumbers(whole);
  if (whole.length !== fileBytes(length, textLength)) throw corrupt('an entry table is cut short');
  const expected = whole.subarray(CHECKSUM_OFFSET, HEADER_BYTES);
  if (!checksum(whole, [whole.subarray(HEADER_BYTES)]).equals(expected))
    throw corrupt('the checksum of an entry table is wrong');
  let offset = HEADER_BYTES;
  const textOffset = whole.length - padded(textLength);
  const text = whole.subarray(textOffset, textOffset + textLength);
  const columns = assemble({ length, textLength, text }, (type, width) => {
    // No Buffer of ours lies in shared memory.
    const column = new type(whole.buffer as ArrayBuffer, whole.byteOffset + offset, length * width);
    offset += padded(column.byteLength);
    return column;
  });
  return new EntryTable(columns, toManifestId(whole.subarray(ID_OFFSET, CHECKSUM_OFFSET)));
}

/** Replaces the file in one step. */
export function saveEntryTable(file: string, table: EntryTable): void {
  writePartsAtomic(file, encodeEntryTable(table));
}

/**
 * Undefined where there is no such file, or a damaged one: every table on disk spares work, or says of what is there
 * that it is ours, and without it the work is done and what is there is kept.
 */
export function loadEntryTable(file: string): EntryTable | undefined {
  const bytes = readFileIfExists(file);
  if (bytes === undefined) return undefined;
  try {
    return decodeEntryTable(bytes);
  } catch (error) {
    if (isRmtxError(error)) return undefined;
    throw error;
  }
}

/** Which manifest a table file says it holds; undefined where it is no table file. Nothing else is read or checked. */
export function manifestIdIn(file: string): ManifestId | undefined {
  const header = Buffer.alloc(CHECKSUM_OFFSET);
  const fd = openSync(file, 'r');
  try {
    const count = readSync(fd, header, 0, header.length, 0);
    const isTable = count === header.length && header.subarray(0, MAGIC.length).equals(MAGIC);
    return isTable ? toManifestId(header.subarray(ID_OFFSET)) : undefined;
  } finally {
    closeSync(fd);
  }
}

function headerNumbers(header: Buffer): Uint32Array {
  return new Uint32Array(header.buffer, header.byteOffset + MAGIC.length, 2);
}

function fileBytes(length: number, textLength: number): number {
  let total = HEADER_BYTES + padded(textLength);
  for (const [, type, width] of columnTypes)
    total += padded(length * width * type.BYTES_PER_ELEMENT);
  return total;
}

function checksum(header: Buffer, body: readonly Buffer[]): Buffer {
  const hash = createHash('sha256').update(header.subarray(0, CHECKSUM_OFFSET));
  for (const part of body) hash.update(part);
  return hash.digest();
}

function addPadded(parts: Buffer[], bytes: Buffer): void {
  if (bytes.length > 0) parts.push(bytes);
  const missing = padded(bytes.length) - bytes.length;
  if (missing > 0) parts.push(Buffer.alloc(missing));
}

function padded(length: number): number {
  return Math.ceil(length / ALIGNMENT) * ALIGNMENT;
}

function unpooledCopy(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  copy.set(bytes);
  return copy;
}

function corrupt(message: string, cause?: unknown): RmtxError {
  return new RmtxError('ERR_RMTX_STATE_CORRUPT', message, { cause });
}
