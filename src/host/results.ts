/** What a command changed, on its way to the client: the change records, then the blobs it asks for. */
import { createReadStream } from 'node:fs';
import { BlobSender, blobStoreSource } from '../protocol/blob-sender.js';
import type { PeerConnection } from '../protocol/connection.js';
import { encodeHostMessage } from '../protocol/host-message-codec.js';
import { CHANNEL, MAX_PROBLEMS } from '../protocol/messages.js';
import type { BlobStore } from '../store/blob-store.js';
import type { Run } from './run.js';
import type { ChangeSetSummary } from './workspace-session.js';

/**
 * Announces and streams the change set, then serves blob requests until the client ends them. Only
 * blobs in this client's own store can be asked for.
 */
export async function sendChangeSet(
  connection: PeerConnection,
  run: Run,
  options: { readonly summary: ChangeSetSummary; readonly store: BlobStore },
): Promise<void> {
  const { summary, store } = options;
  connection.send(
    encodeHostMessage({
      type: 'change_set',
      manifestId: summary.manifestId,
      changes: summary.changes,
      bytes: summary.bytes,
      ignored: summary.ignored,
      problems: summary.problems.slice(0, MAX_PROBLEMS),
    }),
  );
  if (summary.changes === 0) return;
  const changes = connection.openSend(CHANNEL.changes);
  for await (const piece of createReadStream(run.changeSetFile))
    await changes.write(piece as Buffer);
  changes.end();
  const blobs = connection.openSend(CHANNEL.resultBlobs);
  const sender = new BlobSender(blobStoreSource(store), (bytes) => blobs.write(bytes));
  for await (const piece of connection.openReceive(CHANNEL.resultRequests))
    await sender.push(piece);
  sender.end();
  blobs.end();
}
