/**
 * `exec` with `--host auto` or `--fallback`: what is done before, or in the place of, a run on a host that is simply
 * dialled. A file of its own among the bundles: no other start reads it.
 */
import { arrangeHost } from '../client/host-arrangement.js';
import type { Arrangement } from '../client/host-arrangement.js';
import { Interrupts } from '../client/interrupts.js';
import { runHere } from '../client/local-run.js';
import type { RunOptions } from '../client/run.js';
import { RunTeller } from '../client/run-teller.js';
import type { ExecCall } from './exec-run.js';
import { EXIT_INTERRUPTED } from './exit-code.js';
import type { RunRecord } from './run-record.js';

/** The host for the run, or the exit code where all is done already. */
export type ArrangedRun = Pick<RunOptions, 'host' | 'hostRule'> | { readonly exitCode: number };

/** Rejects as the run would. What there is to tell goes to `record`, the end of a command that ran here included. */
export async function arrangeRun(
  options: ExecCall,
  how: {
    /** `--no-stdin`, and `--json`. */
    readonly hasStdin: boolean;
    readonly isJson: boolean;
    readonly record: RunRecord;
  },
): Promise<ArrangedRun> {
  const { record } = how;
  const teller = new RunTeller({ onEvent: (event) => record.onEvent(event) });
  const startedAtMs = performance.now();
  const interrupts = new Interrupts();
  interrupts.onNotice = (message) => teller.warn('interrupt', message);
  const abortSignal = interrupts.abandoned.signal;
  let arrangement: Arrangement;
  try {
    arrangement = await arrangeHost({ ...options, teller, abortSignal });
  } catch (error) {
    if (!abortSignal.aborted) throw error;
    record.finishHere({
      runner: null,
      outcome: { kind: 'interrupted', signal: interrupts.received },
      exitCode: EXIT_INTERRUPTED,
      durationMs: Math.round(performance.now() - startedAtMs),
    });
    return { exitCode: EXIT_INTERRUPTED };
  } finally {
    interrupts[Symbol.dispose]();
  }
  if (arrangement.kind === 'host') return { host: arrangement.host, hostRule: arrangement.rule };
  return { exitCode: await runInstead(options, { ...how, reason: arrangement.reason, teller }) };
}

async function runInstead(
  options: ExecCall,
  how: {
    readonly hasStdin: boolean;
    readonly isJson: boolean;
    readonly record: RunRecord;
    readonly reason: Extract<Arrangement, { kind: 'local' }>['reason'];
    readonly teller: RunTeller;
  },
): Promise<number> {
  const { record, reason, teller, hasStdin, isJson } = how;
  const { cwd, config, command, env } = options;
  teller.warn('running-here', `the host cannot be reached (${reason.message}); running here`);
  teller.emit({ type: 'local', cwd, reason });
  const offsets = { stdout: 0, stderr: 0 };
  const report = await runHere({
    command,
    projectRoot: config.projectRoot,
    cwd,
    env,
    hasStdin,
    ...(isJson && {
      onOutput: async (stream, bytes) => {
        const offset = offsets[stream];
        offsets[stream] += bytes.length;
        await record.onEvent({ type: 'output', stream, offset, bytes });
      },
    }),
  });
  teller.emit({ type: 'exit', outcome: report.outcome });
  record.finishHere(report);
  return report.exitCode;
}
