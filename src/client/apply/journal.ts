/**
 * The journal of one transaction as bytes: whose it is, where its stage and undo are, every operation.
 * A digest over everything ends it; a journal that does not match it is never acted upon.
 *
 *     8 magic and version | header: JSON, length first | varint count | the operations | 32 BLAKE3
 */
import { DIGEST_BYTES, digestBytes, hashBytes, toDigest } from '../../store/digest.js';
import { RmtxError } from '../../errors.js';
import { parseWorkspacePath } from '../../sync/entry.js';
import type { FileEntry, SymlinkEntry, WorkspacePath } from '../../sync/entry.js';
import type { ConflictKind } from '../../sync/reconcile.js';
import { assertNever } from '../../util/never.js';
import { ByteReader, ByteWriter, BytesError } from '../../util/bytes.js';
import { pathFromBytes, pathToBytes } from '../../util/path-bytes.js';
import type { Absent, FileBefore, Operation, StagedAt, SymlinkBefore } from './operations.js';

/** What recovery needs to know besides the operations, and before there are any. */
export interface TransactionHeader {
  readonly runId: string;
  /** The real path of the project root. */
  readonly projectRoot: string;
  readonly stateDirectory: string;
  /** Directories of ours in the project, for targets on other devices; relative to the root. */
  readonly treeAreas: readonly WorkspacePath[];
  /** The directory under `undo/` that takes what is displaced. */
  readonly undoName: string;
}

export interface Journal extends TransactionHeader {
  readonly operations: readonly Operation[];
}

const MAGIC = Buffer.from('rmtxjrn\u0001', 'latin1');
const MAX_HEADER_BYTES = 1 << 20;
const MAX_NAME_BYTES = 8192;

const operationTypes = [
  'remove',
  'remove-directory',
  'make-directory',
  'write',
  'set-attributes',
  'keep-beside',
] as const satisfies readonly Operation['type'][];

const conflictKinds = [
  'edited-both',
  'created-both',
  'deleted-here',
  'deleted-there',
  'kind-differs',
  'mode-differs',
  'blocked',
  'directory-not-empty',
] as const satisfies readonly ConflictKind[];

export function encodeJournal(journal: Journal): Buffer {
  const writer = new ByteWriter(1024 + journal.operations.length * 160);
  const { operations, ...header } = journal;
  writer.raw(MAGIC).prefixed(Buffer.from(encodeHeader(header)));
  writer.varint(operations.length);
  for (const operation of operations) encodeOperation(writer, operation);
  writer.raw(hashBytes(writer.view()));
  return writer.take();
}

/** Throws STATE_CORRUPT for anything that {@link encodeJournal} of this version did not make whole. */
export function decodeJournal(bytes: Buffer): Journal {
  const body = bytes.subarray(0, Math.max(0, bytes.length - DIGEST_BYTES));
  if (!body.subarray(0, MAGIC.length).equals(MAGIC))
    throw corrupt('this is no journal of this version');
  if (!hashBytes(body).equals(bytes.subarray(body.length)))
    throw corrupt('the digest of a journal is wrong');
  const reader = new ByteReader(body.subarray(MAGIC.length));
  try {
    const header = parseHeader(reader.prefixed(MAX_HEADER_BYTES).toString('utf8'));
    if (header === undefined) throw corrupt('the header of a journal is wrong');
    const operations: Operation[] = [];
    for (let count = reader.varint(); count > 0; count--) operations.push(decodeOperation(reader));
    if (reader.remaining > 0) throw corrupt('a journal has bytes that mean nothing');
    return { ...header, operations };
  } catch (error) {
    if (error instanceof BytesError) throw corrupt('a journal is cut short', error);
    throw error;
  }
}

/** JSON escapes what is not UTF-8 in a name, so every path survives it. */
export function encodeHeader(header: TransactionHeader): string {
  return JSON.stringify(header);
}

/** Undefined for anything that {@link encodeHeader} did not make. */
export function parseHeader(text: string): TransactionHeader | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { runId, projectRoot, stateDirectory, treeAreas, undoName } = value as Record<
    string,
    unknown
  >;
  if (typeof runId !== 'string' || typeof projectRoot !== 'string') return undefined;
  if (typeof stateDirectory !== 'string' || typeof undoName !== 'string') return undefined;
  if (!Array.isArray(treeAreas)) return undefined;
  const areas: WorkspacePath[] = [];
  for (const area of treeAreas as unknown[]) {
    const path = typeof area === 'string' ? parseWorkspacePath(area) : undefined;
    if (path === undefined) return undefined;
    areas.push(path);
  }
  return { runId, projectRoot, stateDirectory, treeAreas: areas, undoName };
}

function encodeOperation(writer: ByteWriter, operation: Operation): void {
  writer.u8(operationTypes.indexOf(operation.type)).prefixed(pathToBytes(operation.path));
  switch (operation.type) {
    case 'remove':
      encodeBefore(writer, operation.before);
      break;
    case 'remove-directory':
    case 'make-directory':
      writer.varint(operation.mode);
      break;
    case 'write':
      encodeBefore(writer, operation.before);
      encodeEntry(writer, operation.entry);
      writer.u8(operation.isUnsent ? 1 : 0);
      encodeStaged(writer, operation.staged);
      break;
    case 'set-attributes': {
      const { before, mode, mtimeUs, content, isDirectory } = operation;
      writer.u8((isDirectory ? 1 : 0) | (mtimeUs === undefined ? 0 : 2) | (content ? 4 : 0));
      writer.varint(before.mode).zigzag(before.mtimeUs).varint(mode);
      if (mtimeUs !== undefined) writer.zigzag(mtimeUs);
      if (content !== undefined) writer.varint(content.size).raw(digestBytes(content.digest));
      break;
    }
    case 'keep-beside':
      writer.u8(conflictKinds.indexOf(operation.conflict));
      encodeEntry(writer, operation.entry);
      encodeStaged(writer, operation.staged);
      break;
  }
}

function decodeOperation(reader: ByteReader): Operation {
  const type = operationTypes[reader.u8()];
  if (type === undefined) throw corrupt('a journal names an unknown operation');
  const path = pathFromBytes(reader.prefixed(MAX_NAME_BYTES)) as WorkspacePath;
  switch (type) {
    case 'remove': {
      const before = decodeBefore(reader);
      if (before.kind === 'absent') throw corrupt('a journal removes what is not there');
      return { type, path, before };
    }
    case 'remove-directory':
    case 'make-directory':
      return { type, path, mode: reader.varint() };
    case 'write': {
      const before = decodeBefore(reader);
      const entry = decodeEntry(reader, path);
      const isUnsent = reader.u8() === 1;
      return { type, path, before, entry, isUnsent, staged: decodeStaged(reader) };
    }
    case 'set-attributes': {
      const flags = reader.u8();
      const before = { mode: reader.varint(), mtimeUs: reader.zigzag() };
      const mode = reader.varint();
      const mtimeUs = (flags & 2) === 0 ? undefined : reader.zigzag();
      const content =
        (flags & 4) === 0
          ? undefined
          : { size: reader.varint(), digest: toDigest(reader.raw(DIGEST_BYTES)) };
      return { type, path, isDirectory: (flags & 1) !== 0, before, mode, mtimeUs, content };
    }
    case 'keep-beside': {
      const conflict = conflictKinds[reader.u8()];
      if (conflict === undefined) throw corrupt('a journal names an unknown conflict');
      const entry = decodeEntry(reader, path);
      return { type, path, conflict, entry, staged: decodeStaged(reader) };
    }
    default:
      return assertNever(type);
  }
}

function encodeBefore(writer: ByteWriter, before: FileBefore | SymlinkBefore | Absent): void {
  if (before.kind === 'absent') {
    writer.u8(0);
  } else if (before.kind === 'symlink') {
    writer.u8(1).prefixed(pathToBytes(before.target));
  } else {
    writer.u8(2 | (before.isRacy ? 4 : 0) | (before.digest === undefined ? 0 : 8));
    writer.varint(before.mode).varint(before.size).raw(inodeBytes(before.ino));
    writer.zigzag(before.mtimeUs).zigzag(before.ctimeUs);
    if (before.digest !== undefined) writer.raw(digestBytes(before.digest));
  }
}

function decodeBefore(reader: ByteReader): FileBefore | SymlinkBefore | Absent {
  const tag = reader.u8();
  if (tag === 0) return { kind: 'absent' };
  if (tag === 1) return { kind: 'symlink', target: pathFromBytes(reader.prefixed(MAX_NAME_BYTES)) };
  const [mode, size, ino] = [reader.varint(), reader.varint(), reader.raw(8).readDoubleBE()];
  const [mtimeUs, ctimeUs] = [reader.zigzag(), reader.zigzag()];
  const digest = (tag & 8) === 0 ? undefined : toDigest(reader.raw(DIGEST_BYTES));
  return { kind: 'file', mode, size, mtimeUs, ctimeUs, ino, isRacy: (tag & 4) !== 0, digest };
}

/** As the double that Node gives: some file systems have numbers beyond the safe integers. */
function inodeBytes(ino: number): Buffer {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeDoubleBE(ino);
  return bytes;
}

function encodeEntry(writer: ByteWriter, entry: FileEntry | SymlinkEntry): void {
  if (entry.kind === 'symlink') {
    writer.u8(1).prefixed(pathToBytes(entry.target));
    return;
  }
  writer.u8(0).varint(entry.mode).varint(entry.size).zigzag(entry.mtimeUs);
  writer.raw(digestBytes(entry.digest));
}

function decodeEntry(reader: ByteReader, path: WorkspacePath): FileEntry | SymlinkEntry {
  if (reader.u8() === 1)
    return { kind: 'symlink', path, target: pathFromBytes(reader.prefixed(MAX_NAME_BYTES)) };
  const [mode, size, mtimeUs] = [reader.varint(), reader.varint(), reader.zigzag()];
  return { kind: 'file', path, mode, size, mtimeUs, digest: toDigest(reader.raw(DIGEST_BYTES)) };
}

function encodeStaged(writer: ByteWriter, staged: StagedAt): void {
  writer.varint(staged.area).varint(staged.slot);
}

function decodeStaged(reader: ByteReader): StagedAt {
  return { area: reader.varint(), slot: reader.varint() };
}

function corrupt(message: string, cause?: unknown): RmtxError {
  return new RmtxError('ERR_RMTX_STATE_CORRUPT', message, { cause });
}
