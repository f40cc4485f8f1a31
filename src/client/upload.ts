/** The way of the project to the host: rules, manifest changes, the blobs that it lacks. */
import { BlobSender } from '../protocol/blob-sender.js';
import type { SendChannel } from '../protocol/connection.js';
import { badMessage } from '../protocol/bad-message.js';
import { CHANNEL, MAX_ROUNDS, roundChannels } from '../protocol/messages.js';
import { EntryTable } from '../sync/entry-table.js';
import { encodeRuleSources } from '../sync/rule-sources.js';
import type { WorkspacePath } from '../sync/entry.js';
import type { RuleSources } from '../sync/rule-sources.js';
import { encodeDiff } from '../sync/table-changes.js';
import type { HostConnection } from './connect.js';
import { ProjectBlobs } from './project-blobs.js';
import type { ProjectBlobsOptions } from './project-blobs.js';

const PIECE_BYTES = 128 * 1024;

export interface UploadOptions extends ProjectBlobsOptions {
  readonly host: HostConnection;
  readonly rules: RuleSources;
  /** What the host has; undefined: it knows no manifest that we know. */
  readonly base: EntryTable | undefined;
  readonly table: EntryTable;
  /** Looks again at files that changed since the scan; returns the amended table. */
  readonly rescan: (paths: readonly WorkspacePath[]) => Promise<EntryTable>;
  readonly onProgress: (progress: { readonly done: number; readonly total: number }) => void;
}

export interface UploadResult {
  /** The manifest that the run sees. */
  readonly table: EntryTable;
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
    if (wanted.files === 0) return { table, bytes };
    const sent = await sendBlobs(options, { table, round, totalBytes: wanted.bytes });
    bytes += sent.bytes;
    if (sent.changedPaths.length === 0) return { table, bytes };
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

async function writePieces(channel: SendChannel, bytes: Buffer): Promise<void> {
  for (let start = 0; start < bytes.length; start += PIECE_BYTES)
    await channel.write(bytes.subarray(start, start + PIECE_BYTES));
}
