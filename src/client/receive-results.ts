/** What a host announced, taken off one connection: the change records, then the blobs that are asked for. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { BlobReceiver } from '../protocol/blob-receiver.js';
import type { BlobSink } from '../protocol/blob-receiver.js';
import type { SendChannel } from '../protocol/connection.js';
import { badMessage } from '../protocol/bad-message.js';
import { CHANNEL } from '../protocol/messages.js';
import { ChangeDecoder } from '../sync/change-codec.js';
import type { ManifestChange } from '../sync/entry.js';
import type { WantedBlob } from './apply/stage.js';
import type { HostConnection } from './connect.js';

/** They are held in memory, 500 bytes each, and a host that lies could go on for ever. */
const MAX_CHANGES = 1_000_000;
const MAX_CHANGE_BYTES = 128 * 1024 * 1024;
const BLOB_WINDOW_BYTES = 4 * 1024 * 1024;

/** Exactly as many changes as were announced; throws BAD_MESSAGE otherwise. */
export async function receiveChanges(
  { connection }: HostConnection,
  announced: number,
): Promise<ManifestChange[]> {
  if (announced === 0) return [];
  if (announced > MAX_CHANGES)
    throw badMessage(`${announced} changes, where at most ${MAX_CHANGES} can be brought home`);
  const decoder = new ChangeDecoder();
  const changes: ManifestChange[] = [];
  let bytes = 0;
  for await (const piece of connection.openReceive(CHANNEL.changes)) {
    bytes += piece.length;
    if (bytes > MAX_CHANGE_BYTES) throw badMessage('a change set of too many bytes');
    for (const change of decoder.push(piece)) changes.push(change);
    if (changes.length > announced)
      throw badMessage(`more than the ${announced} changes announced`);
  }
  decoder.end();
  if (changes.length < announced)
    throw badMessage(`${changes.length} changes instead of the ${announced} announced`);
  return changes;
}

export interface FetchOptions {
  readonly wanted: readonly WantedBlob[];
  readonly sink: BlobSink;
  readonly onPiece: (byteCount: number) => void;
}

/** Fetches blobs in one round; `requests` is the connection's channel for asking, and ended then. */
export async function fetchBlobs(
  { connection }: HostConnection,
  requests: SendChannel,
  { wanted, sink, onPiece }: FetchOptions,
): Promise<void> {
  using receiver = new BlobReceiver(sink);
  for (const { digest, size } of wanted) receiver.want(digest, size);
  receiver.endRound();
  // Not awaited: requests drain as data is consumed, and waiting would hold up the data.
  const sendRequests = (): void => {
    const bytes = receiver.takeRequests();
    if (bytes !== undefined) void requests.write(bytes);
    if (receiver.isRoundOver) requests.end();
  };
  sendRequests();
  await connection
    .openReceive(CHANNEL.resultBlobs, { windowBytes: BLOB_WINDOW_BYTES })
    .onData(async (piece) => {
      onPiece(piece.length);
      receiver.push(piece);
      while (receiver.work()) await nextTurn();
      sendRequests();
    });
}
