/** The visit that opens a run: from the project to the host, up to the start, then as any other. */
import type { ClientMessage } from '../protocol/messages.js';
import { MAX_WAITING_NAMED } from '../protocol/messages.js';
import type { Conversation } from './conversation.js';
import type { RunLife } from './run-life.js';
import type { StartMessage } from './run-request.js';
import type { Run } from './run.js';
import { stayWithRun } from './stay-with-run.js';
import { receiveEntriesAhead, receiveManifest } from './uploads.js';

/**
 * Opens a run and stays with it. Until everything is here the run depends on this connection: it is dropped
 * with it, and its client opens it anew.
 */
export async function openRun(
  talk: Conversation,
  open: Extract<ClientMessage, { type: 'run_open' }>,
): Promise<void> {
  const { client, services } = talk;
  const context = services.contexts.open(client.id, open.contextKey, open.contextName);
  const named = {
    id: open.runId,
    clientId: client.id,
    contextId: context.id,
    contextName: open.contextName,
    label: open.label,
  };
  const run = await services.runs.open(named, talk, services);
  talk.run = run;
  using _reading = run.enter();
  try {
    const start = await prepare(talk, run, async (life) => {
      const { held, manifestId, isEmpty } = await life.open(context);
      const takesEntriesAhead = open.offersEntriesAhead && isEmpty;
      talk.send({
        type: 'run_opened',
        workspace: held.workspacePath,
        slot: held.slot,
        isCold: manifestId === undefined,
        base: manifestId ?? null,
        takesEntriesAhead,
        waiting: services.runs
          .waitingIn(context.id)
          .slice(0, MAX_WAITING_NAMED)
          .map(({ id }) => id),
      });
      if (takesEntriesAhead) await receiveEntriesAhead(talk.connection, talk.inbox, held.workspace);
      await receiveManifest(talk.connection, talk.inbox, held.workspace);
      return talk.inbox.next('start');
    });
    if (start.isDetached) await seeItStart(talk, run);
    else await stayWithRun(talk, run, { stdout: 0, stderr: 0, isFirst: true });
  } finally {
    run.visitors.leave(talk);
  }
}

/** Where anything fails before the run has begun, nothing of it stays. */
async function prepare(
  talk: Conversation,
  run: Run,
  receive: (life: RunLife) => Promise<StartMessage>,
): Promise<StartMessage> {
  const { life } = run;
  if (life === undefined) throw new Error('Internal error: a new run without a life');
  try {
    const start = await receive(life);
    // It goes on although nobody stays.
    if (start.isDetached) run.visitors.leave(talk);
    life.begin(start);
    return start;
  } catch (error) {
    // Told before what was begun is cleared away; to nobody, where the connection is the trouble.
    talk.tell(error);
    await life.drop(error);
    throw error;
  }
}

/** The client leaves as soon as it knows that the command runs, or that it could not. */
async function seeItStart(talk: Conversation, run: Run): Promise<void> {
  const report = await talk.orGone(Promise.race([run.started, run.exited]));
  if (report === undefined) talk.send({ type: 'started' });
  else talk.send({ type: 'exited', ...report });
}
