/** The way of the project to the host: rules, manifest changes, the blobs that it lacks. */
import { openSync } from 'node:fs';
import { BlobSender } from '../protocol/blob-sender.js';
import type { SendChannel } from '../protocol/connection.js';
import { badMessage } from '../protocol/fields.js';
import { CHANNEL, MAX_ROUNDS, roundChannels } from '../protocol/messages.js';
import { digestBytes } from '../store/digest.js';
import type { Digest } from '../store/digest.js';
import { EntryTable } from '../sync/entry-table.js';
import { encodeRuleSources } from '../sync/rule-sources.js';
import type { WorkspacePath } from '../sync/entry.js';
import { lstatIfStillThere, openIfStillThere } from '../sync/fresh-entry.js';
import type { RuleSources } from '../sync/rule-sources.js';
import { encodeDiff } from '../sync/table-changes.js';
import type { AnchoredRoot } from '../util/safe-path.js';
import type { HostConnection } from './connect.js';

const PIECE_BYTES = 128 * 1024;

export interface UploadOptions {
  readonly host: HostConnection;
  readonly root: AnchoredRoot;
  readonly rules: RuleSources;
  /** What the host has; undefined: it knows no manifest that we know. */
  readonly base: EntryTable | undefined;
  readonly table: EntryTable;
  /** Looks again at files that changed since the scan; returns the amended table. */
  readonly rescan: (paths: readonly WorkspacePath[]) => Promise<EntryTable>;
  /** The copy of a file that was looked at again. */
  readonly snapshotOf: (digest: Digest) => string | undefined;
  /** What the scan has read of a small file. */
  readonly keptContentOf: (digest: Digest) => Buffer | undefined;
  readonly onProgress: (progress: { readonly done: number; readonly total: number }) => void;
}

export interface UploadResult {
  /** The manifest that the run sees. */
  readonly table: EntryTable;
  readonly files: number;
  readonly bytes: number;
}

/**
 * Brings the host to this manifest. A file that changed since it was scanned is looked at again and
 * goes up in a further round; it never fails the run.
 */
export async function uploadProject(options: UploadOptions): Promise<UploadResult> {
  const { host } = options;
  let { base, table } = options;
  const rules = host.connection.openSend(CHANNEL.rules);
  await writePieces(rules, encodeRuleSources(options.rules));
  rules.end();
  let files = 0;
  let bytes = 0;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const { manifest } = roundChannels(round);
    host.send({
      type: 'manifest',
      round,
      base: base?.manifestId ?? null,
      manifestId: table.manifestId,
      hasRules: round === 0,
    });
    await sendChanges(host.connection.openSend(manifest), base, table);
    const wanted = await host.inbox.next('blobs_wanted');
    if (wanted.round !== round)
      throw badMessage(`blobs of round ${wanted.round} in round ${round}`);
    if (wanted.files === 0) return { table, files, bytes };
    const sent = await sendBlobs(options, { table, round, totalBytes: wanted.bytes });
    files += wanted.files - sent.changedPaths.length;
    bytes += sent.bytes;
    if (sent.changedPaths.length === 0) return { table, files, bytes };
    base = table;
    table = await options.rescan(sent.changedPaths);
  }
  throw badMessage(`the host still asks for files after ${MAX_ROUNDS} rounds`);
}

async function sendChanges(
  channel: SendChannel,
  base: EntryTable | undefined,
  table: EntryTable,
): Promise<void> {
  if (base !== table)
    for (const piece of encodeDiff(base ?? EntryTable.empty, table)) await channel.write(piece);
  channel.end();
}

async function sendBlobs(
  options: UploadOptions,
  round: { readonly table: EntryTable; readonly round: number; readonly totalBytes: number },
): Promise<{ changedPaths: WorkspacePath[]; bytes: number }> {
  const { connection } = options.host;
  const channels = roundChannels(round.round);
  const requests = connection.openReceive(channels.requests);
  const data = connection.openSend(channels.blobs);
  const source = new ProjectBlobs(options, round.table);
  let bytes = 0;
  const sender = new BlobSender(source, (piece, how) => {
    bytes += piece.length;
    options.onProgress({ done: Math.min(bytes, round.totalBytes), total: round.totalBytes });
    return data.write(piece, how);
  });
  for await (const piece of requests) await sender.push(piece);
  sender.end();
  data.end();
  return { changedPaths: source.changedPaths, bytes };
}

/** The project's files as blobs, found by digest. */
class ProjectBlobs {
  readonly changedPaths: WorkspacePath[] = [];
  readonly #from: Pick<UploadOptions, 'root' | 'snapshotOf' | 'keptContentOf'>;
  readonly #table: EntryTable;
  /** By row, 1: asked for. */
  readonly #asked: Uint8Array;
  /** The host asks in walk order, so the next one is nearly always right behind the last. */
  #cursor = 0;
  #lastDigest: Digest | undefined;
  #lastRow: number | undefined;

  constructor(
    from: Pick<UploadOptions, 'root' | 'snapshotOf' | 'keptContentOf'>,
    table: EntryTable,
  ) {
    this.#from = from;
    this.#table = table;
    this.#asked = new Uint8Array(table.length);
  }

  /** A host gets what was offered to it, and that once. */
  wanted(digest: Digest): void {
    const row = this.#rowOf(digest);
    if (row === undefined)
      throw badMessage(`the host asks for ${digest}, which is not of this project`);
    if (this.#asked[row] === 1) throw badMessage(`the host asks for ${digest} again`);
    this.#asked[row] = 1;
  }

  /** A file that is as it was scanned need not be opened again. */
  content(digest: Digest): Buffer | undefined {
    const kept = this.#from.keptContentOf(digest);
    const row = kept === undefined ? undefined : this.#rowOf(digest);
    if (row === undefined) return undefined;
    const stats = lstatIfStillThere(this.#from.root, this.#table.path(row));
    return stats !== undefined && this.#table.matches(row, stats) ? kept : undefined;
  }

  open(digest: Digest): { fd: number } | undefined {
    const row = this.#rowOf(digest);
    if (row === undefined) return undefined;
    const copy = this.#from.snapshotOf(digest);
    if (copy !== undefined) return { fd: openSync(copy, 'r') };
    const fd = openIfStillThere(this.#from.root, this.#table.path(row));
    if (fd === undefined) this.changed(digest);
    return fd === undefined ? undefined : { fd };
  }

  /** What was read is not what was scanned: the path is looked at again. */
  changed(digest: Digest): void {
    const row = this.#rowOf(digest);
    if (row !== undefined) this.changedPaths.push(this.#table.path(row));
  }

  #rowOf(digest: Digest): number | undefined {
    // A request asks for the same one more than once.
    if (digest !== this.#lastDigest) {
      this.#lastDigest = digest;
      this.#lastRow = this.#findRow(digest);
    }
    return this.#lastRow;
  }

  #findRow(digest: Digest): number | undefined {
    const wanted = digestBytes(digest);
    for (let step = 0; step < this.#table.length; step++) {
      const row = (this.#cursor + step) % this.#table.length;
      if (this.#table.kind(row) !== 'file' || !this.#table.digestBytes(row).equals(wanted))
        continue;
      this.#cursor = row;
      return row;
    }
    return undefined;
  }
}

async function writePieces(channel: SendChannel, bytes: Buffer): Promise<void> {
  for (let start = 0; start < bytes.length; start += PIECE_BYTES)
    await channel.write(bytes.subarray(start, start + PIECE_BYTES));
}
