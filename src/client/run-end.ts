/** The second half of a run, the same for whoever started it and whoever came back to it: streams, exit, changes. */
import { RmtxError, isRmtxError } from '../errors.js';
import { exitCodeOf } from '../protocol/exit-code.js';
import type { CommandOutcome } from '../protocol/messages.js';
import type { Forwards } from './forwards.js';
import type { HostedRun } from './hosted-run.js';
import type { HomeReport } from './results.js';
import type { Interrupts } from './interrupts.js';
import type { RunOutcome, RunReport } from './run-events.js';
import type { RunPhase, RunTeller } from './run-teller.js';
import type { RunStreams } from './streams.js';
import type { Exited } from './visit.js';

export interface RunEndOptions {
  readonly run: HostedRun;
  readonly command: readonly string[];
  readonly streams: RunStreams;
  readonly forwards: Forwards | undefined;
  readonly interrupts: Interrupts;
  readonly teller: RunTeller;
  /** Of a clock that only goes forward. */
  readonly startedAtMs: number;
  readonly uploadedBytes: number;
  /** Deals with what the command changed. Undefined: it stays on the host, as it is. */
  readonly bringHome: (() => Promise<HomeReport>) | undefined;
}

/** Stays with the command until it has ended, every byte is handed over and its changes are dealt with. */
export async function stayToTheEnd(options: RunEndOptions): Promise<RunReport> {
  const { run, teller, interrupts, streams, forwards, bringHome } = options;
  const exited = await teller.step('run', async () => {
    const exit = await run.during((visit) => visit.untilExit());
    await streams.flushed();
    tellOfExit(exit, teller);
    const outcome = outcomeOf(exit.outcome, options);
    teller.emit({ type: 'exit', outcome });
    return outcome;
  });
  interrupts.commandEnded();
  // Before the host has the word that lets it close the connection.
  await forwards?.finish();
  const home = bringHome && (await teller.step('sync-back', bringHome));
  return reportOf(exited, options, home);
}

/** What was not worth a word while all went well. */
function tellOfExit({ sweptProcesses, isOutputCut }: Exited, teller: RunTeller): void {
  if (sweptProcesses > 0)
    teller.info(
      'swept',
      `processes that the command left behind and that were ended: ${sweptProcesses}`,
    );
  if (isOutputCut)
    teller.warn(
      'output-cut',
      "something kept the command's output open after its end; the output was cut there",
    );
}

export function outcomeOf(
  outcome: CommandOutcome,
  { interrupts, command }: Pick<RunEndOptions, 'interrupts' | 'command'>,
): RunOutcome {
  switch (outcome.kind) {
    case 'signalled':
      // A command that handled Ctrl-C and chose its own code keeps it; one that died of it is 130.
      return interrupts.received === undefined
        ? { kind: 'signalled', signal: outcome.exitSignal, number: outcome.number }
        : { kind: 'interrupted', signal: outcome.exitSignal };
    case 'not-found': {
      const [first = '', ...rest] = command;
      return { ...outcome, isShellLine: rest.length === 0 && /[\s|&;<>]/.test(first) };
    }
    case 'exited':
    case 'timed-out':
    case 'not-executable':
      return outcome;
  }
}

export function reportOf(
  outcome: RunOutcome,
  about: {
    readonly run: { readonly id: string };
    readonly teller: RunTeller;
    readonly startedAtMs: number;
    readonly uploadedBytes: number;
  },
  home?: HomeReport,
): RunReport {
  const code = outcome.kind === 'interrupted' ? 130 : exitCodeOf(outcome);
  const { conflicts = [], problems = [] } = home ?? {};
  for (const conflict of conflicts) about.teller.emit({ type: 'conflict', ...conflict });
  for (const problem of problems) about.teller.emit({ type: 'problem', ...problem });
  const hasUnapplied = conflicts.length > 0 || home?.isIncomplete === true;
  return {
    runId: about.run.id,
    outcome,
    exitCode: code === 0 && hasUnapplied ? 122 : code,
    hasUnapplied,
    durationMs: Math.round(performance.now() - about.startedAtMs),
    uploadedBytes: about.uploadedBytes,
    downloadedBytes: home?.bytes ?? 0,
    changed: home?.changed ?? [],
    deleted: home?.deleted ?? [],
    conflicts,
    problems,
    ...(home?.ignored === undefined ? {} : { ignoredLeftovers: home.ignored }),
  };
}

/** Nobody can bring anything home of this run any more. */
export function isBeyondRecall(error: unknown): boolean {
  return (
    isRmtxError(error) &&
    (error.code === 'ERR_RMTX_RUN_LOST' || error.code === 'ERR_RMTX_RUN_NOT_FOUND')
  );
}

/** The error, with what to type where the host has the run, or what it changed. */
export function withWayBack(
  error: unknown,
  run: { readonly id: string; readonly phase: RunPhase; readonly hasGrace: boolean },
): unknown {
  if (!isRmtxError(error) || hasItsOwnWay(error)) return error;
  const way = `rmtx attach ${run.id}`;
  if (error.family === 'connection') {
    const isEnded = run.hasGrace && run.phase === 'running';
    const hint = isEnded
      ? `the host ends the command now (--disconnect-grace); ${way} shows what became of it`
      : `the host keeps the run; ${way} comes back to it`;
    return new RmtxError(error.code, error.message, { cause: error.cause, hint });
  }
  if (error.code === 'ERR_RMTX_OUTPUT_FAILED') {
    const hint = `the host keeps the run and its output; ${way} goes on with it elsewhere`;
    return new RmtxError(error.code, error.message, { cause: error.cause, hint });
  }
  const isKept = run.phase === 'over' && (error.family === 'state' || error.family === 'content');
  if (!isKept) return error;
  const first = error.hint === undefined ? '' : `${error.hint}; `;
  const hint = `${first}what the run changed waits on the host: ${way}`;
  return new RmtxError(error.code, error.message, { cause: error.cause, hint });
}

/** Says all there is to say. */
function hasItsOwnWay(error: RmtxError): boolean {
  const isWithAnother = error.code === 'ERR_RMTX_RUN_TAKEN_OVER';
  return isBeyondRecall(error) || isWithAnother || error.code === 'ERR_RMTX_HOST_STOPPING';
}
