/** What a command changed, on its way to the client: the change records, then the blobs it asks for. */
import { createReadStream } from 'node:fs';
import { BlobSender, blobStoreSource } from '../protocol/blob-sender.js';
import type { PeerConnection } from '../protocol/connection.js';
import { CHANNEL } from '../protocol/messages.js';
import type { BlobStore } from '../store/blob-store.js';

/**
 * Streams the change set that was announced, then serves blob requests until the client ends them. Only
 * blobs in this client's own store can be asked for.
 */
export async function sendResults(
  connection: PeerConnection,
  { changeSetFile, store }: { readonly changeSetFile: string; readonly store: BlobStore },
): Promise<void> {
  const changes = connection.openSend(CHANNEL.changes);
  for await (const piece of createReadStream(changeSetFile)) await changes.write(piece as Buffer);
  changes.end();
  const blobs = connection.openSend(CHANNEL.resultBlobs);
  const sender = new BlobSender(blobStoreSource(store), (bytes, options) =>
    blobs.write(bytes, options),
  );
  for await (const piece of connection.openReceive(CHANNEL.resultRequests))
    await sender.push(piece);
  sender.end();
  blobs.end();
}
