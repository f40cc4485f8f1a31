import { accessSync, constants, statSync } from 'node:fs';
import path from 'node:path';
import { openClientHome } from '../../client/home.js';
import { previewProject } from '../../client/preview.js';
import { runCommand } from '../../client/run.js';
import type { RunOptions } from '../../client/run.js';
import type { RunReport } from '../../client/run-events.js';
import { openInput, openOutput } from '../../client/stdio.js';
import { resolveConfig } from '../../config/resolved-config.js';
import { RmtxError, systemErrorCode } from '../../errors.js';
import { printable } from '../../util/printable.js';
import type { Invocation } from '../arguments.js';
import { requestedEnvironment } from '../command-environment.js';
import { jsonDocument } from '../report/json.js';
import { previewJson, previewPairs } from '../report/preview.js';
import { renderList } from '../report/text.js';
import { RunRecord } from '../run-record.js';

export { recover } from '../recovery.js';

/** Runs the command; the exit status is its own, or says how rmtx failed. */
export async function run(invocation: Invocation): Promise<number> {
  const { flags } = invocation;
  const reportFile = flags.text('report');
  if (reportFile !== undefined) refuseUnwritable(reportFile);
  const record = new RunRecord(invocation, reportFile);
  let report: RunReport;
  try {
    const options = runOptions(invocation);
    if (flags.has('dry-run')) return await previewRun(options, flags.has('json') ? 'json' : 'text');
    report = await runWithStreams(options, invocation, record);
  } catch (error) {
    record.fail(error);
    throw error;
  }
  record.finish(report);
  return report.exitCode;
}

async function runWithStreams(
  options: RunOptions,
  { flags }: Invocation,
  record: RunRecord,
): Promise<RunReport> {
  const stdin = flags.has('no-stdin') ? undefined : openInput();
  try {
    return await runCommand(options, {
      onEvent: (event) => record.onEvent(event),
      // With `--json` the output travels in the events, so that stdout holds only JSON.
      ...(flags.has('json') ? {} : { stdout: openOutput(1), stderr: openOutput(2) }),
      ...(stdin === undefined ? {} : { stdin }),
    });
  } finally {
    // An open pipe that nobody writes to must not keep this process once the command has ended.
    stdin?.destroy();
  }
}

function runOptions({ flags, operands }: Invocation): RunOptions {
  const cwd = path.resolve(flags.text('cwd') ?? '.');
  const timeoutMs = flags.durationMs('timeout');
  if (timeoutMs === 0)
    throw new RmtxError('ERR_RMTX_BAD_FLAG', '--timeout must be more than nothing');
  // Wrong usage is said before anything that is wrong with the place.
  const env = requestedEnvironment(flags.list('env'), process.env);
  return {
    config: resolveConfig({ cwd: nearestDirectory(cwd), configPath: flags.text('config') }),
    home: openClientHome(),
    command: operands,
    cwd,
    env,
    host: flags.text('host'),
    timeoutMs,
    hasSyncBack: !flags.has('no-sync-back'),
    allowMassDelete: flags.has('allow-mass-delete'),
    label: flags.text('label'),
  };
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
