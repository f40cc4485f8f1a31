/** `rmtx exec` once it is on its way to the host: the run with its streams, told and reported. */
import { beginFirstDial } from '../client/first-dial.js';
import type { FirstDial } from '../client/first-dial.js';
import type { Fallback } from '../client/host-arrangement.js';
import { previewProject } from '../client/preview.js';
import { runCommand } from '../client/run.js';
import type { DetachedRun, RunOptions } from '../client/run.js';
import type { RunReport } from '../client/run-events.js';
import { openInput, openOutput } from '../client/stdio.js';
import { LocalTerminal, terminalRequest } from '../client/terminal.js';
import type { Invocation } from './arguments.js';
import { jsonDocument } from './report/json.js';
import { previewJson, previewPairs } from './report/preview.js';
import { renderList } from './report/text.js';
import { RunRecord } from './run-record.js';

/** What the command line and the config ask for. */
export interface ExecCall extends Omit<RunOptions, 'terminal' | 'firstDial'> {
  /** `--tty`. */
  readonly hasTerminal: boolean;
  readonly fallback: Fallback;
}

/**
 * The exit status of the command, where it ran to its end. Without a dial the host is found first, or with
 * `--dry-run` it is only said what would run.
 */
export async function runCall(
  invocation: Invocation,
  call: ExecCall,
  firstDial: FirstDial | undefined,
): Promise<number> {
  const { flags } = invocation;
  const record = openRecord(invocation);
  let report: RunReport | DetachedRun;
  try {
    if (flags.has('dry-run')) return await previewRun(invocation, call);
    let ready = call;
    if (firstDial === undefined) {
      const { arrangeRun } = await import('./arranged-run.js');
      const [hasStdin, isJson] = [!flags.has('no-stdin'), flags.has('json')];
      const arranged = await arrangeRun(call, { hasStdin, isJson, record });
      if ('exitCode' in arranged) return arranged.exitCode;
      ready = { ...call, ...arranged };
    }
    using dial = firstDial ?? beginFirstDial(ready);
    const terminal = call.hasTerminal ? terminalRequest() : undefined;
    report = await runWithStreams({ ...ready, firstDial: dial, terminal }, invocation, record);
  } catch (error) {
    record.fail(error);
    throw error;
  }
  if ('isDetached' in report) {
    if (report.wasLeft) record.left(report.runId);
    else record.leave(report.runId);
    return 0;
  }
  record.finish(report);
  return report.exitCode;
}

/** Reports, to whoever asked for a report, a call that came to nothing before it was a run. */
export function recordFailure(invocation: Invocation, error: unknown): void {
  openRecord(invocation).fail(error);
}

function openRecord(invocation: Invocation): RunRecord {
  const { flags, operands } = invocation;
  return new RunRecord(invocation, {
    command: operands,
    label: flags.text('label'),
    timeoutMs: flags.durationMs('timeout'),
    reportFile: flags.text('report'),
  });
}

async function runWithStreams(
  options: RunOptions,
  { flags }: Invocation,
  record: RunRecord,
): Promise<RunReport | DetachedRun> {
  const hasTerminal = options.terminal !== undefined && !options.isDetached;
  const terminal = hasTerminal ? LocalTerminal.open() : undefined;
  const takesStdin = !flags.has('no-stdin') && !options.isDetached;
  const stdin = terminal?.input ?? (takesStdin ? openInput() : undefined);
  const stdout = terminal?.output ?? openOutput(1);
  try {
    return await runCommand(options, {
      onEvent: (event) => record.onEvent(event),
      // With `--json` the output travels in the events, so that stdout holds only JSON.
      ...(flags.has('json') ? {} : { stdout, stderr: openOutput(2) }),
      ...(stdin === undefined ? {} : { stdin }),
      ...(terminal === undefined ? {} : { terminal }),
    });
  } finally {
    // An open pipe that nobody writes to must not keep this process once the command has ended.
    stdin?.destroy();
  }
}

/** `--dry-run`: what takes part, and nothing else. */
async function previewRun(
  { flags }: Invocation,
  { config, command, cwd }: ExecCall,
): Promise<number> {
  const preview = await previewProject(config);
  const { projectRoot } = config;
  process.stdout.write(
    flags.has('json')
      ? jsonDocument({ command, cwd, project_root: projectRoot, ...previewJson(preview) })
      : renderList([
          ['command', command.join(' ')],
          ['directory', cwd],
          ['project', projectRoot],
          ...previewPairs(preview),
        ]),
  );
  return 0;
}
