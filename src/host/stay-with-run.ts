/**
 * A visitor with a run that has begun: its output, its end, its result, in the order of
 * protocol/messages.ts. It owns nothing: when it is cut off anywhere here, the run goes on and the next
 * visitor finds what there still is to come.
 */
import path from 'node:path';
import { CHANNEL } from '../protocol/messages.js';
import { BlobStore } from '../store/blob-store.js';
import type { Conversation } from './conversation.js';
import { sendResults } from './results.js';
import type { ChangeSetHead, OutputBytes } from './run-record.js';
import type { Answer, Run } from './run.js';

export interface StayOptions extends OutputBytes {
  /** The one that opened it: it is told when the command has started. */
  readonly isFirst: boolean;
}

/** Stays to the end of the run, from these offsets of its output on. The visitor must have arrived. */
export async function stayWithRun(
  talk: Conversation,
  run: Run,
  options: StayOptions,
): Promise<void> {
  const delivered = deliverOutput(talk, run, options);
  delivered.catch(() => undefined);
  if (options.isFirst) await awaitStart(talk, run);
  feedInput(talk, run);
  const report = await talk.orGone(run.exited).catch(async (error: unknown) => {
    // What it printed before it was lost is there to be had.
    await delivered;
    throw error;
  });
  await delivered;
  talk.send({ type: 'exited', ...report });
  const changeSet = await talk.orGone(run.collected);
  // Taken by an earlier visitor, it is no longer there to be handed over.
  if (changeSet === undefined || run.state === 'done') return;
  const answer = await handOver(talk, run, changeSet);
  // One who was sent away has a successor, whose word counts.
  if (!run.visitors.isCurrent(talk)) return;
  // Told before the tidying is over: the client has nothing to wait for, the next run does (takeSlot).
  talk.send({ type: 'acknowledged' });
  run.take(answer);
}

/** Resolves when both outputs are at their end and handed over. */
export async function deliverOutput(
  talk: Conversation,
  run: Run,
  offsets: OutputBytes,
): Promise<void> {
  const deliver = (name: 'stdout' | 'stderr'): Promise<void> =>
    run[name].deliver(talk.connection.openSend(CHANNEL[name]), {
      offset: offsets[name],
      abortSignal: talk.gone,
    });
  await Promise.all([deliver('stdout'), deliver('stderr')]);
}

/** A command that could not be started, or was stopped before, has only an end. */
async function awaitStart(talk: Conversation, run: Run): Promise<void> {
  const report = await talk.orGone(Promise.race([run.started, run.exited]));
  if (report === undefined) talk.send({ type: 'started' });
}

function feedInput(talk: Conversation, run: Run): void {
  const input = run.life?.input;
  if (!run.record.hasStdin || input === undefined || !run.visitors.isCurrent(talk)) return;
  void input.feed(talk.connection.openReceive(CHANNEL.stdin));
}

/** Offers the result and serves what the client asks for, until it says what became of it. */
async function handOver(talk: Conversation, run: Run, changeSet: ChangeSetHead): Promise<Answer> {
  const { inbox, services } = talk;
  talk.send({ type: 'change_set', ...changeSet });
  const answered = inbox.next('applied', 'discard');
  answered.catch(() => undefined);
  if (changeSet.changes > 0) {
    const store = new BlobStore(path.join(services.paths.blobs, run.record.clientId));
    const sent = sendResults(talk.connection, { changeSetFile: run.changeSetFile, store });
    sent.catch(() => undefined);
    // A client that comes back after it has applied everything need not fetch it again.
    await Promise.race([sent, answered]);
  }
  return (await answered).type;
}
