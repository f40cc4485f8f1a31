import { accessSync, constants, statSync } from 'node:fs';
import path from 'node:path';
import { openClientHome } from '../../client/home.js';
import { previewProject } from '../../client/preview.js';
import { runCommand } from '../../client/run.js';
import type { DetachedRun, RunOptions } from '../../client/run.js';
import type { RunReport } from '../../client/run-events.js';
import { openInput, openOutput } from '../../client/stdio.js';
import { LocalTerminal, terminalRequest } from '../../client/terminal.js';
import { resolveConfig } from '../../config/resolved-config.js';
import { RmtxError, systemErrorCode } from '../../errors.js';
import { printable } from '../../util/printable.js';
import type { FlagValues, Invocation } from '../arguments.js';
import { requestedEnvironment } from '../command-environment.js';
import { forwardRequests } from '../forward-flag.js';
import { jsonDocument } from '../report/json.js';
import { previewJson, previewPairs } from '../report/preview.js';
import { renderList } from '../report/text.js';
import { RunRecord } from '../run-record.js';

export { recover } from '../recovery.js';

/** Runs the command; the exit status is its own, or says how rmtx failed. */
export async function run(invocation: Invocation): Promise<number> {
  const { flags } = invocation;
  refuseReportOfDetached(flags);
  const reportFile = flags.text('report');
  if (reportFile !== undefined) refuseUnwritable(reportFile);
  const record = new RunRecord(invocation, {
    command: invocation.operands,
    label: flags.text('label'),
    timeoutMs: flags.durationMs('timeout'),
    reportFile,
  });
  let report: RunReport | DetachedRun;
  try {
    const options = runOptions(invocation);
    if (flags.has('dry-run')) return await previewRun(options, flags.has('json') ? 'json' : 'text');
    report = await runWithStreams(options, invocation, record);
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

function runOptions({ flags, operands }: Invocation): RunOptions {
  const cwd = path.resolve(flags.text('cwd') ?? '.');
  const timeoutMs = positive(flags, 'timeout');
  // Wrong usage is said before anything that is wrong with the place.
  const env = requestedEnvironment(flags.list('env'), process.env);
  const forwards = forwardRequests(flags);
  refuseForwardsOfDetached(flags);
  return {
    config: resolveConfig({ cwd: nearestDirectory(cwd), configPath: flags.text('config') }),
    home: openClientHome(),
    command: operands,
    cwd,
    env,
    host: flags.text('host'),
    discoveryTimeoutMs: flags.durationMs('discovery-timeout'),
    timeoutMs,
    hasSyncBack: !flags.has('no-sync-back'),
    allowMassDelete: flags.has('allow-mass-delete'),
    label: flags.text('label'),
    isDetached: flags.has('detach'),
    terminal: wantsTerminal(flags) ? terminalRequest() : undefined,
    disconnectGraceMs: positive(flags, 'disconnect-grace'),
    forwards,
  };
}

function wantsTerminal(flags: FlagValues): boolean {
  if (!flags.has('tty') || flags.has('no-tty')) return false;
  for (const other of ['json', 'no-stdin'])
    if (flags.has(other) && !flags.has('detach'))
      throw new RmtxError('ERR_RMTX_BAD_FLAG', `--tty and --${other} cannot go together`, {
        hint: 'leave one of them out',
      });
  return true;
}

function positive(flags: FlagValues, name: string): number | undefined {
  const milliseconds = flags.durationMs(name);
  if (milliseconds === 0)
    throw new RmtxError('ERR_RMTX_BAD_FLAG', `--${name} must be more than nothing`);
  return milliseconds;
}

/** What is over only after we have left cannot be reported. */
function refuseReportOfDetached(flags: FlagValues): void {
  if (flags.has('detach') && flags.has('report'))
    throw new RmtxError('ERR_RMTX_BAD_FLAG', '--detach does not wait for what --report reports', {
      hint: 'leave one of them out',
    });
}

/** Whoever connects to the port here is carried by this process. */
function refuseForwardsOfDetached(flags: FlagValues): void {
  if (flags.has('detach') && flags.has('forward'))
    throw new RmtxError('ERR_RMTX_BAD_FLAG', '--detach leaves nobody here to listen for -L', {
      hint: 'give -L to rmtx attach',
    });
}

/** `--dry-run`: what takes part, and nothing else. */
async function previewRun(options: RunOptions, form: 'text' | 'json'): Promise<number> {
  const preview = await previewProject(options.config);
  const { projectRoot } = options.config;
  const { command, cwd } = options;
  process.stdout.write(
    form === 'json'
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

/** `--cwd` may name a directory that only the command makes; its project is the one around it. */
function nearestDirectory(directory: string): string {
  if (statSync(directory, { throwIfNoEntry: false }) !== undefined) return directory;
  const parent = path.dirname(directory);
  return parent === directory ? directory : nearestDirectory(parent);
}

/** Found out now, not after an hour's run. */
function refuseUnwritable(file: string): void {
  try {
    const exists = statSync(file, { throwIfNoEntry: false }) !== undefined;
    accessSync(exists ? file : path.dirname(path.resolve(file)), constants.W_OK);
  } catch (error) {
    throw new RmtxError(
      'ERR_RMTX_BAD_FLAG',
      `--report ${printable(file)} cannot be written (${systemErrorCode(error) ?? 'unknown error'})`,
      { cause: error },
    );
  }
}
