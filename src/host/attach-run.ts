/** The visit of somebody who comes (back) to a run: its own client after an outage, or another process of it. */
import { setTimeout as delay } from 'node:timers/promises';
import { RmtxError } from '../errors.js';
import { CHANNEL } from '../protocol/messages.js';
import type { ClientMessage } from '../protocol/messages.js';
import type { Conversation } from './conversation.js';
import { runLost, runNotFound, runNotStarted } from './run-errors.js';
import type { OutputBytes } from './run-record.js';
import type { Run } from './run.js';
import { evictUnbegun } from './runs.js';
import { deliverOutput, stayWithRun } from './stay-with-run.js';

type Attach = Extract<ClientMessage, { type: 'run_attach' }>;

/**
 * A connection that its client gave up long ago can arrive late, when the network lets go of what it held
 * back: its end comes right behind its words. So one that would send another away must outlast this.
 */
const LATE_END_MS = 200;

export async function attachToRun(talk: Conversation, attach: Attach): Promise<void> {
  const run = await findBegun(talk, attach);
  talk.run = run;
  using _reading = run.enter();
  if (attach.mode === 'watch') {
    talk.maySteer = false;
    await watch(talk, run, attach);
    return;
  }
  if (run.visitors.isAnyoneThere) await refuseLate(talk);
  try {
    await comeTo(talk, run, attach);
  } finally {
    run.visitors.leave(talk);
  }
}

/** Throws RUN_NOT_FOUND for a run that has not begun: whoever resumes it may open it anew then. */
async function findBegun(talk: Conversation, { runId, mode }: Attach): Promise<Run> {
  const { runs } = talk.services;
  const run = runs.find(runId, talk.client.id);
  if (run === undefined) throw runNotFound(runId);
  if (run.life?.hasBegun === false) {
    if (mode === 'resume') await evictUnbegun(run);
    throw runNotStarted(runId);
  }
  // Its files are in place, and it is a matter of moments.
  await talk.orGone(Promise.race([run.started, run.exited]).catch(() => undefined));
  if (talk.gone.aborted || runs.find(runId, talk.client.id) !== run || run.state === 'preparing')
    throw runNotFound(runId);
  return run;
}

async function refuseLate(talk: Conversation): Promise<void> {
  await Promise.race([talk.connection.closed, delay(LATE_END_MS)]);
  if (talk.gone.aborted)
    throw new RmtxError('ERR_RMTX_CONNECTION_LOST', 'the connection to the client was lost');
}

async function comeTo(talk: Conversation, run: Run, attach: Attach): Promise<void> {
  const input = run.life?.input;
  // No pause from here to the answer: what it says of the input must be so.
  run.visitors.arrive(talk);
  input?.detach();
  // The writer that a pipe had is gone; a terminal is whoever sits at it.
  if (attach.mode === 'visit' && !run.record.hasTerminal) input?.end();
  const offsets = beginningsOf(run, attach);
  const takesStdin = input?.isOpen ?? false;
  answer(talk, run, { ...offsets, stdin: input?.offset ?? 0, takesStdin });
  if (run.state === 'lost') {
    await deliverOutput(talk, run, offsets);
    throw runLost(run);
  }
  await stayWithRun(talk, run, { ...offsets, isFirst: false });
}

/** What is asked for and was dropped is left out, and the answer says so. */
function beginningsOf(run: Run, { stdoutOffset, stderrOffset }: Attach): OutputBytes {
  return { stdout: run.stdout.firstFrom(stdoutOffset), stderr: run.stderr.firstFrom(stderrOffset) };
}

/** Reads along; nobody waits for it, and nothing depends on it. */
async function watch(talk: Conversation, run: Run, attach: Attach): Promise<void> {
  const offsets = beginningsOf(run, attach);
  answer(talk, run, { ...offsets, stdin: 0, takesStdin: false });
  const show = (name: 'stdout' | 'stderr'): Promise<void> =>
    run[name].show(talk.connection.openSend(CHANNEL[name]), {
      offset: offsets[name],
      tail: attach.tail,
      abortSignal: talk.gone,
    });
  await talk.orGone(Promise.all([show('stdout'), show('stderr')]));
  if (!attach.tail && run.state === 'running') return;
  const report = await talk.orGone(run.exited).catch((error: unknown) => {
    throw run.state === 'lost' ? runLost(run) : error;
  });
  if (run.state === 'lost') throw runLost(run);
  talk.send({ type: 'exited', ...report });
}

function answer(
  talk: Conversation,
  { record }: Run,
  at: OutputBytes & { readonly stdin: number; readonly takesStdin: boolean },
): void {
  talk.send({
    type: 'run_attached',
    state: record.state,
    command: record.command,
    stdoutOffset: at.stdout,
    stderrOffset: at.stderr,
    stdinOffset: at.stdin,
    takesStdin: at.takesStdin,
    hasTerminal: record.hasTerminal,
    wantsSyncBack: record.wantsSyncBack,
    slot: record.slot,
  });
}
