/** A slot on real disk and a client in memory that talks to its session. */
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { WorkspaceSession } from '../../src/host/workspace-session.js';
import type { ChangeSetSummary, WorkspaceOptions } from '../../src/host/workspace-session.js';
import { AheadEntrySender } from '../../src/protocol/ahead-entry-sender.js';
import { BlobSender } from '../../src/protocol/blob-sender.js';
import { digestBytes, hashBytes, toDigest } from '../../src/store/digest.js';
import type { Digest } from '../../src/store/digest.js';
import { ChangeDecoder } from '../../src/sync/change-codec.js';
import { EntryTable } from '../../src/sync/entry-table.js';
import type { ManifestChange } from '../../src/sync/entry.js';
import { encodeRuleSources } from '../../src/sync/rule-sources.js';
import type { RuleSources } from '../../src/sync/rule-sources.js';
import { RACY_WINDOW_US } from '../../src/sync/stat-signature.js';
import { TableMerger, encodeDiff } from '../../src/sync/table-changes.js';
import { nowUs } from '../../src/util/microseconds.js';
import { entriesOfTree } from './disk-tree.js';
import type { Node, Tree } from './disk-tree.js';
import { tableOf } from './entries.js';

export const PLAIN_RULES: RuleSources = {
  mounts: [{ path: '', exclude: [] }],
  ignore: ['ignored/'],
  syncBack: null,
  keepOnHost: ['kept/'],
  gitignore: null,
  isCaseInsensitive: false,
};

/** What the session asks of its caller, and a `Workspace` offers as promises. */
export interface RunOfSlot {
  readonly base?: EntryTable;
  readonly rules?: RuleSources;
}

export class SlotRig implements Disposable {
  readonly directory: string;
  readonly options: WorkspaceOptions;
  readonly #contents: string;

  constructor(parent = tmpdir()) {
    this.directory = mkdtempSync(path.join(parent, 'rmtx-slot-'));
    this.#contents = mkdtempSync(path.join(tmpdir(), 'rmtx-client-'));
    this.options = {
      slotDirectory: path.join(this.directory, 'slot'),
      workspacePath: path.join(this.directory, 'workspace'),
      blobStoreDirectory: path.join(this.directory, 'blobs'),
    };
  }

  get workspace(): string {
    return this.options.workspacePath;
  }

  open(): WorkspaceSession {
    return new WorkspaceSession(this.options);
  }

  /** The client's contents, as its files would be. */
  keep(bytes: Uint8Array): Digest {
    const digest = toDigest(hashBytes(bytes));
    const file = this.#fileOf(digest);
    if (!existsSync(file)) writeFileSync(file, bytes);
    return digest;
  }

  /** Removes a content, as when the file changed since it was scanned. */
  lose(digest: Digest): void {
    rmSync(this.#fileOf(digest));
  }

  /** The manifest of a tree whose contents the client has. */
  manifestOf(tree: Tree): EntryTable {
    for (const node of tree.values()) if (node.kind === 'file') this.keep(Buffer.from(node.bytes));
    return tableOf(entriesOfTree(tree));
  }

  /** What a client sends of a tree ahead of its manifest. */
  async ahead(tree: Tree): Promise<Buffer> {
    const pieces: Buffer[] = [];
    const sender = new AheadEntrySender((bytes) => {
      pieces.push(Buffer.from(bytes));
      return Promise.resolve();
    });
    for (const entry of entriesOfTree(tree)) {
      const node = tree.get(entry.path);
      if (entry.kind === 'directory') sender.addDirectory(entry);
      else if (entry.kind === 'file' && node?.kind === 'file')
        sender.addFile(entry, digestBytes(entry.digest), Buffer.from(node.bytes));
      if (!sender.hasRoom) await sender.flush();
    }
    await sender.finish();
    return Buffer.concat(pieces);
  }

  at(...names: string[]): string {
    return path.join(this.workspace, ...names);
  }

  /** Sends a manifest as changes of `base`, or whole. Returns how many blobs are missing. */
  announce(session: WorkspaceSession, next: EntryTable, run: RunOfSlot = {}): Uint8Array {
    const rules = encodeRuleSources(run.rules ?? PLAIN_RULES);
    session.beginManifest({ fromBase: run.base !== undefined, rules });
    for (const piece of encodeDiff(run.base ?? EntryTable.empty, next)) session.pushManifest(piece);
    return session.finishManifest(next.manifestId).requests;
  }

  /** Answers until the round is over; returns what was gone. */
  async serve(session: WorkspaceSession, requests: Uint8Array): Promise<Digest[]> {
    return (await this.serveCounting(session, requests)).gone;
  }

  async serveCounting(
    session: WorkspaceSession,
    requests: Uint8Array,
  ): Promise<{ gone: Digest[]; received: number }> {
    const gone: Digest[] = [];
    let received = 0;
    const asked = [requests];
    const sender = new BlobSender({ open: (digest) => this.#openBlob(digest) }, (bytes) => {
      received += bytes.length;
      const result = session.pushBlobs(Uint8Array.from(bytes));
      if (result.requests !== undefined) asked.push(result.requests);
      gone.push(...result.gone);
      return Promise.resolve();
    });
    for (let request = asked.shift(); request !== undefined; request = asked.shift())
      await sender.push(request);
    return { gone, received };
  }

  /** What a client would send in answer to these requests. */
  async answer(requests: Uint8Array): Promise<Buffer> {
    const pieces: Buffer[] = [];
    const sender = new BlobSender({ open: (digest) => this.#openBlob(digest) }, (bytes) => {
      pieces.push(Buffer.from(bytes));
      return Promise.resolve();
    });
    await sender.push(requests);
    return Buffer.concat(pieces);
  }

  /** A whole way to a materialized workspace. Returns how many files were sent for. */
  async bring(
    session: WorkspaceSession,
    next: EntryTable,
    run: RunOfSlot = {},
  ): Promise<{ filesWritten: number; removed: number }> {
    const requests = this.announce(session, next, run);
    session.prepare();
    if (requests.length > 0) await this.serve(session, requests);
    const result = session.materialize();
    session.saveIndex();
    return result;
  }

  /** A run that does `command` and is acknowledged. Returns its summary and the next base. */
  async run(
    next: EntryTable,
    options: RunOfSlot & { command?: () => void } = {},
  ): Promise<EntryTable> {
    using session = this.open();
    session.verify();
    await this.bring(session, next, options);
    options.command?.();
    this.collect(session);
    session.acknowledge();
    return applyChanges(next, readFileSync(this.changeSetFile));
  }

  /** What the last collect wrote. */
  changes(): string[] {
    return decodeChanges(readFileSync(this.changeSetFile)).map((change) =>
      change.type === 'delete' ? `- ${change.path}` : `+ ${change.entry.path}`,
    );
  }

  collect(
    session: WorkspaceSession,
    options: { wantsSyncBack?: boolean; clockOffsetUs?: number; startedUs?: number } = {},
  ): ChangeSetSummary {
    return session.collect({
      changeSetFile: this.changeSetFile,
      clockOffsetUs: 0,
      startedUs: 0,
      wantsSyncBack: true,
      ...options,
    });
  }

  get changeSetFile(): string {
    return path.join(this.directory, 'changes');
  }

  [Symbol.dispose](): void {
    for (const directory of [this.directory, this.#contents])
      rmSync(directory, { recursive: true, force: true });
  }

  #openBlob(digest: Digest): { fd: number } | undefined {
    try {
      return { fd: openSync(this.#fileOf(digest), 'r') };
    } catch {
      return undefined;
    }
  }

  #fileOf(digest: Digest): string {
    return path.join(this.#contents, digest.slice(-64));
  }
}

export function decodeChanges(bytes: Buffer): ManifestChange[] {
  const decoder = new ChangeDecoder();
  const changes = decoder.push(bytes);
  decoder.end();
  return changes;
}

export function applyChanges(base: EntryTable, bytes: Buffer): EntryTable {
  const merger = new TableMerger(base);
  for (const change of decodeChanges(bytes)) merger.push(change);
  return merger.finish();
}

/** A tree from a short form: a text is a file, `/` a directory, `-> x` a link to x. */
export function treeOf(short: Readonly<Record<string, string>>): Tree {
  const nodeOf = (what: string): Node => {
    if (what === '/') return { kind: 'directory', mode: 0o755 };
    if (what.startsWith('-> ')) return { kind: 'symlink', target: what.slice(3) };
    return { kind: 'file', bytes: what, mode: 0o644, mtimeUs: LONG_AGO_US };
  };
  return new Map(Object.entries(short).map(([at, what]) => [at, nodeOf(what)]));
}

export const LONG_AGO_US = 1_600_000_000_000_000;

/** Lets the clock leave the window in which a signature proves nothing. */
export async function leaveRacyWindow(): Promise<void> {
  const end = nowUs() + RACY_WINDOW_US;
  while (nowUs() <= end) await setTimeout(1);
}

export interface Prepared {
  readonly rig: SlotRig;
  readonly session: WorkspaceSession;
  readonly next: EntryTable;
}

/** A materialized workspace, old enough for its signatures to count. */
export async function prepared(
  rig: SlotRig,
  short: Readonly<Record<string, string>>,
  rules?: RuleSources,
): Promise<Prepared> {
  const next = rig.manifestOf(treeOf(short));
  const session = rig.open();
  session.verify();
  await rig.bring(session, next, rules === undefined ? {} : { rules });
  await leaveRacyWindow();
  return { rig, session, next };
}
