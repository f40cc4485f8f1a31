/** The way of a project to its workspace: rules, manifest changes, missing blobs, in rounds. */
import type { PeerConnection, ReceiveChannel } from '../protocol/connection.js';
import { badMessage } from '../protocol/bad-message.js';
import { encodeHostMessage } from '../protocol/host-message-codec.js';
import type { Inbox } from '../protocol/inbox.js';
import { CHANNEL, MAX_ROUNDS, roundChannels } from '../protocol/messages.js';
import type { ClientMessage } from '../protocol/messages.js';
import { BlobFeed } from './blob-feed.js';
import type { Workspace } from './workspace.js';

/** All ignore files of a project together; a tree with 10,000 of them has about 1 MB. */
const MAX_RULES_BYTES = 16 * 1024 * 1024;
/** More than this in flight keeps a fast link busy while the worker writes. */
const BLOB_WINDOW_BYTES = 4 * 1024 * 1024;

/**
 * Receives the manifest and every blob that is missing, until the workspace's worker has all it needs.
 * A file that changed on the client meanwhile comes in an amended manifest, a further round.
 */
export async function receiveManifest(
  connection: PeerConnection,
  inbox: Inbox<ClientMessage>,
  workspace: Workspace,
): Promise<void> {
  const collected = collect(connection.openReceive(CHANNEL.rules), MAX_RULES_BYTES);
  collected.catch(() => undefined);
  let first = await inbox.next('ahead', 'manifest');
  if (first.type === 'ahead') {
    await receiveAhead(connection, first.sizes, workspace);
    first = await inbox.next('manifest');
  }
  const rules = await collected;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const message = round === 0 ? first : await inbox.next('manifest');
    if (message.round !== round) throw badMessage(`upload round ${message.round} after ${round}`);
    const channels = roundChannels(round);
    await workspace.beginManifest({ fromBase: message.base !== null, rules });
    const changes = connection.openReceive(channels.manifest);
    for await (const piece of changes) await workspace.pushManifest(piece);
    const missing = await workspace.finishManifest(message.manifestId);
    connection.send(
      encodeHostMessage({
        type: 'blobs_wanted',
        round,
        files: missing.missingFiles,
        bytes: missing.missingBytes,
      }),
    );
    if (missing.missingFiles === 0) return;
    const gone = await receiveBlobs(connection, round, { workspace, requests: missing.requests });
    if (gone === 0) return;
  }
  throw badMessage(`files still changing after ${MAX_ROUNDS} rounds`);
}

/** Takes what a first scan finds, as it finds it, unless much of it is here already. */
export async function receiveEntriesAhead(
  connection: PeerConnection,
  inbox: Inbox<ClientMessage>,
  workspace: Workspace,
): Promise<void> {
  const { digests } = await inbox.next('ahead_sample');
  const isWanted = await workspace.offerEntriesAhead(digests);
  const answer = encodeHostMessage({ type: 'ahead_sampled', isWanted });
  if (!isWanted) {
    connection.send(answer);
    return;
  }
  // Opened before it is said: the client sends at once.
  const data = connection.openReceive(CHANNEL.aheadEntries, { windowBytes: BLOB_WINDOW_BYTES });
  connection.send(answer);
  await feedTo(workspace, data);
}

/** Takes what is worth being sent before its manifest. */
async function receiveAhead(
  connection: PeerConnection,
  sizes: readonly number[],
  workspace: Workspace,
): Promise<void> {
  const indexes = await workspace.offerAhead(sizes);
  connection.send(encodeHostMessage({ type: 'ahead_wanted', indexes }));
  if (indexes.length === 0) return;
  const data = connection.openReceive(CHANNEL.ahead, { windowBytes: BLOB_WINDOW_BYTES });
  await feedTo(workspace, data);
}

async function feedTo(workspace: Workspace, data: ReceiveChannel): Promise<void> {
  const feed = new BlobFeed(workspace, () => undefined);
  await Promise.race([data.onData((piece) => feed.push(piece)), feed.failed]);
  await feed.end();
}

/** Resolves with the number of blobs that the client could not send any more. */
async function receiveBlobs(
  connection: PeerConnection,
  round: number,
  options: { readonly workspace: Workspace; readonly requests: Uint8Array },
): Promise<number> {
  const { requests: requestsNumber, blobs } = roundChannels(round);
  const requests = connection.openSend(requestsNumber);
  const data = connection.openReceive(blobs, { windowBytes: BLOB_WINDOW_BYTES });
  const sending = requests.write(options.requests);
  const state = { gone: 0, isOver: false };
  const feed = new BlobFeed(options.workspace, (result) => {
    state.gone += result.gone.length;
    state.isOver ||= result.isRoundOver;
    // Not awaited: requests drain as data is consumed, and waiting here would hold up the data.
    if (result.requests !== undefined) void requests.write(result.requests);
    if (state.isOver) requests.end();
  });
  await Promise.race([data.onData((piece) => feed.push(piece)), feed.failed]);
  await feed.end();
  if (!state.isOver) throw badMessage('the blobs ended before the round was over');
  await sending;
  return state.gone;
}

async function collect(channel: ReceiveChannel, limit: number): Promise<Uint8Array> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of channel) {
    length += part.length;
    if (length > limit) throw badMessage('the rules are too long');
    parts.push(part);
  }
  return Buffer.concat(parts);
}
