/**
 * A small workspace's life, for nothing but its code: V8 compiles what has run a few hundred times, and
 * the first real run would otherwise do that work while a person waits (10,000 files: 0.2 s of it).
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { encodeDataHead } from '../protocol/blob-records.js';
import { BlobRequestDecoder } from '../protocol/blob-requests.js';
import { hashBytes, toDigest } from '../store/digest.js';
import { EntryTableBuilder } from '../sync/entry-table-builder.js';
import { EntryTable } from '../sync/entry-table.js';
import { parentOf } from '../sync/entry.js';
import type { WorkspacePath } from '../sync/entry.js';
import { encodeRuleSources } from '../sync/rule-sources.js';
import { encodeDiff } from '../sync/table-changes.js';
import { ByteWriter } from '../util/bytes.js';
import { WorkspaceSession } from './workspace-session.js';
import type { WorkspaceOptions } from './workspace-session.js';

const ROUNDS = 4;
const DIRECTORIES = 20;
const FILES_IN_EACH = 20;
/** Of the files, one in so many changes from round to round. */
const CHANGED_ONE_IN = 10;

const rules = encodeRuleSources({
  mounts: [{ path: '', exclude: [] }],
  ignore: ['ignored/'],
  syncBack: null,
  keepOnHost: ['kept/'],
  gitignore: null,
  isCaseInsensitive: false,
});

/** Leaves nothing behind. Throws what the file system throws. */
export function warmUp(): void {
  const directory = mkdtempSync(path.join(tmpdir(), 'rmtx-warm-up-'));
  const options: WorkspaceOptions = {
    slotDirectory: path.join(directory, 'slot'),
    workspacePath: path.join(directory, 'workspace'),
    blobStoreDirectory: path.join(directory, 'blobs'),
  };
  try {
    let base: EntryTable | undefined;
    for (let round = 0; round < ROUNDS; round++) {
      const project = createProject(round);
      runOnce(options, project, base);
      base = project.table;
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

interface Project {
  readonly table: EntryTable;
  /** By raw digest in hexadecimal. */
  readonly contents: ReadonlyMap<string, Buffer>;
}

function runOnce(options: WorkspaceOptions, project: Project, base: EntryTable | undefined): void {
  const { table, contents } = project;
  using session = new WorkspaceSession(options);
  session.verify();
  session.beginManifest({ fromBase: base !== undefined, rules });
  for (const piece of encodeDiff(base ?? EntryTable.empty, table)) session.pushManifest(piece);
  const { requests } = session.finishManifest(table.manifestId);
  if (requests.length > 0) session.pushBlobs(answer(requests, contents));
  session.materialize();
  session.saveIndex();
  writeFileSync(path.join(options.workspacePath, nameOf(0)), 'changed');
  const changeSetFile = path.join(options.slotDirectory, '..', 'changes');
  session.collect({ changeSetFile, clockOffsetUs: 0, startedUs: 0, wantsSyncBack: false });
  session.acknowledge();
}

function answer(requests: Uint8Array, contents: ReadonlyMap<string, Buffer>): Buffer {
  const writer = new ByteWriter();
  for (const request of new BlobRequestDecoder().push(requests)) {
    if (request.type !== 'want') continue;
    const { digest, size } = request;
    encodeDataHead(writer, { type: 'blob', digest, size });
    writer.raw(contents.get(digest.toString('hex')) ?? Buffer.alloc(size));
  }
  encodeDataHead(writer, { type: 'round-end' });
  return writer.take();
}

function createProject(round: number): Project {
  const builder = new EntryTableBuilder();
  const contents = new Map<string, Buffer>();
  for (let index = 0; index < DIRECTORIES * FILES_IN_EACH; index++) {
    const filePath = nameOf(index);
    if (index % FILES_IN_EACH === 0)
      builder.add({ kind: 'directory', path: parentOf(filePath) as WorkspacePath, mode: 0o755 });
    const bytes = Buffer.from(`${index} ${index % CHANGED_ONE_IN === 0 ? round : 0}`);
    const raw = hashBytes(bytes);
    contents.set(raw.toString('hex'), bytes);
    builder.add({
      kind: 'file',
      path: filePath,
      mode: 0o644,
      size: bytes.length,
      mtimeUs: index,
      digest: toDigest(raw),
    });
  }
  return { table: builder.build(), contents };
}

/** In walk order. */
function nameOf(index: number): WorkspacePath {
  const directory = Math.floor(index / FILES_IN_EACH);
  const file = index % FILES_IN_EACH;
  return `directory-${directory + 100}/file-${file + 100}` as WorkspacePath;
}
