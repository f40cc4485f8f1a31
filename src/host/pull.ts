/** Files out of a workspace for `rmtx pull`: that of a run which goes on, or the one kept for the next. */
import { rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { RmtxError } from '../errors.js';
import { badMessage } from '../protocol/bad-message.js';
import { MAX_PROBLEMS } from '../protocol/messages.js';
import type { ClientMessage } from '../protocol/messages.js';
import { TEMPORARY, randomName } from '../store/blob-names.js';
import { BlobStore } from '../store/blob-store.js';
import { parseWorkspacePath } from '../sync/entry.js';
import type { WorkspacePath } from '../sync/entry.js';
import { printable } from '../util/printable.js';
import type { Conversation } from './conversation.js';
import { sendResults } from './results.js';
import { runNotFound } from './run-errors.js';
import { releaseThread, takeThread } from './workspace-threads.js';

type Pull = Extract<ClientMessage, { type: 'pull' }>;

/** Sends what is at the paths at this moment; the run does not notice. */
export async function servePull(talk: Conversation, pull: Pull): Promise<void> {
  const { client, services } = talk;
  const paths = pull.paths.map(parsePath);
  const workspacePath = workspaceOf(talk, pull);
  const blobStoreDirectory = path.join(services.paths.blobs, client.id);
  const store = new BlobStore(blobStoreDirectory);
  // Among what the store is about to take in: where a crash leaves it, it is swept from there.
  const changeSetFile = path.join(blobStoreDirectory, TEMPORARY, randomName());
  const thread = takeThread();
  try {
    const argument = { workspacePath, blobStoreDirectory, paths, changeSetFile };
    const { entries, bytes, missing, problems } = await thread.call('pull', argument);
    talk.send({
      type: 'pulled',
      changes: entries,
      bytes,
      missing,
      problems: problems.slice(0, MAX_PROBLEMS),
    });
    if (entries > 0) await sendResults(talk.connection, { changeSetFile, store });
  } finally {
    releaseThread(thread);
    rmSync(changeSetFile, { force: true });
  }
}

function parsePath(text: string): WorkspacePath {
  const parsed = parseWorkspacePath(text);
  if (parsed === undefined) throw badMessage(`${printable(text)} is not a path in a project`);
  return parsed;
}

function workspaceOf(talk: Conversation, { runId, contextKey }: Pull): string {
  const { client, services } = talk;
  const { runs, contexts, paths } = services;
  const place = (contextId: string, slot: number): string =>
    path.join(paths.workspaces, contextId, String(slot));
  if (runId !== undefined) {
    const run = runs.find(runId, client.id);
    if (run === undefined) throw runNotFound(runId);
    const { contextId, slot } = run.record;
    if (run.life === undefined || slot === undefined) throw givenBack(runId);
    return place(contextId, slot);
  }
  const contextId = contexts.idOf(client.id, contextKey);
  if (contextId === undefined) throw nothingKept();
  const newest = runs
    .list(client.id)
    .filter((record) => record.contextId === contextId)
    .filter(({ id }) => runs.find(id, client.id)?.life !== undefined)
    .sort((a, b) => (a.startedAt < b.startedAt ? 1 : -1))[0];
  const workspacePath = place(contextId, newest?.slot ?? 0);
  if (statSync(workspacePath, { throwIfNoEntry: false })?.isDirectory() !== true)
    throw nothingKept();
  return workspacePath;
}

function givenBack(runId: string): RmtxError {
  return new RmtxError(
    'ERR_RMTX_RUN_NOT_FOUND',
    `run ${runId} is over, and its workspace belongs to the next run`,
    {
      hint: `rmtx attach ${runId} brings home what it changed; what keep_on_host names: rmtx pull without --run`,
    },
  );
}

function nothingKept(): RmtxError {
  return new RmtxError(
    'ERR_RMTX_CONTEXT_NOT_FOUND',
    'the host has no workspace of this project yet',
    { hint: 'run something there first: rmtx exec -- CMD' },
  );
}
