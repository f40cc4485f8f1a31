/**
 * `rmtx exec` up to its first packet, and only that: each millisecond before it is one that the host waits.
 * What comes after it (`exec-run.ts`: the run, its streams, its report) is loaded while the system connects.
 */
import { accessSync, constants, statSync } from 'node:fs';
import path from 'node:path';
import { beginFirstDial } from '../../client/first-dial.js';
import type { FirstDial } from '../../client/first-dial.js';
import { openClientHome } from '../../client/home.js';
import type { Fallback } from '../../client/host-arrangement.js';
import { autoRule } from '../../client/host-choice.js';
import { resolveConfig } from '../../config/resolved-config.js';
import type { ResolvedConfig } from '../../config/resolved-config.js';
import { RmtxError, systemErrorCode } from '../../errors.js';
import { MAX_RUN_LABEL_LENGTH } from '../../protocol/messages.js';
import { printable } from '../../util/printable.js';
import type { FlagValues, Invocation } from '../arguments.js';
import { requestedEnvironment } from '../command-environment.js';
import type { ExecCall } from '../exec-run.js';
import { forwardRequests } from '../forward-flag.js';

export { recover } from '../recovery.js';

/** Runs the command; the exit status is its own, or says how rmtx failed. */
export async function run(invocation: Invocation): Promise<number> {
  const { flags } = invocation;
  refuseReportOfDetached(flags);
  const reportFile = flags.text('report');
  if (reportFile !== undefined) refuseUnwritable(reportFile);
  let call: ExecCall;
  let firstDial: FirstDial | undefined;
  try {
    call = execCall(invocation);
    if (isSimplyDialled(call) && !flags.has('dry-run')) firstDial = beginFirstDial(call);
  } catch (error) {
    const { recordFailure } = await import('../exec-run.js');
    recordFailure(invocation, error);
    throw error;
  }
  try {
    // Node hands a connection to the system on its next turn; loading would keep it from that.
    await new Promise((resolve) => setImmediate(resolve));
    const { runCall } = await import('../exec-run.js');
    return await runCall(invocation, call, firstDial);
  } finally {
    firstDial?.[Symbol.dispose]();
  }
}

/** False where the host has to be found, or found to be there, before the run. */
function isSimplyDialled({ fallback, host, config }: ExecCall): boolean {
  return fallback === 'fail' && autoRule({ named: host, config }) === undefined;
}

/** Checks everything that needs no host, the config with it; nothing has been read or sent before. */
function execCall({ flags, operands }: Invocation): ExecCall {
  const cwd = path.resolve(flags.text('cwd') ?? '.');
  // Wrong usage is said before anything that is wrong with the place.
  const timeoutMs = positive(flags, 'timeout');
  const disconnectGraceMs = positive(flags, 'disconnect-grace');
  const label = labelOf(flags);
  const env = requestedEnvironment(flags.list('env'), process.env);
  const fallback = fallbackOf(flags);
  const forwards = forwardRequests(flags);
  refuseForwardsOfDetached(flags);
  const config = resolveConfig({ cwd: nearestDirectory(cwd), configPath: flags.text('config') });
  refuseImage(config);
  return {
    config,
    home: openClientHome(),
    command: operands,
    cwd,
    env,
    host: flags.text('host'),
    discoveryTimeoutMs: flags.durationMs('discovery-timeout'),
    timeoutMs,
    hasSyncBack: !flags.has('no-sync-back'),
    allowMassDelete: flags.has('allow-mass-delete'),
    label,
    isDetached: flags.has('detach'),
    hasTerminal: wantsTerminal(flags),
    disconnectGraceMs,
    forwards,
    fallback,
  };
}

/** What was meant for an image is not let loose on the host itself. */
function refuseImage({ runtime, configFile }: ResolvedConfig): void {
  if (runtime.type === 'process') return;
  throw new RmtxError(
    'ERR_RMTX_RUNTIME_UNAVAILABLE',
    `${printable(configFile)} asks for an image, and this rmtx cannot run commands in one yet`,
    { hint: 'without runtime in the config, commands run on the host itself' },
  );
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

const FALLBACKS: readonly Fallback[] = ['fail', 'local', 'wait'];

/** What only a host does, such as ending all processes of a command, is not left undone in silence. */
function fallbackOf(flags: FlagValues): Fallback {
  const text = flags.text('fallback') ?? 'fail';
  const fallback = FALLBACKS.find((each) => each === text);
  if (fallback === undefined)
    throw new RmtxError('ERR_RMTX_BAD_FLAG', `--fallback ${printable(text)} is unknown`, {
      hint: `one of: ${FALLBACKS.join(', ')}`,
    });
  for (const other of ['detach', 'timeout', 'no-sync-back', 'disconnect-grace', 'forward'])
    if (fallback === 'local' && flags.has(other))
      throw new RmtxError(
        'ERR_RMTX_BAD_FLAG',
        `--${other} needs a host, so it cannot go with --fallback local`,
        { hint: 'leave one of them out' },
      );
  return fallback;
}

function positive(flags: FlagValues, name: string): number | undefined {
  const milliseconds = flags.durationMs(name);
  if (milliseconds === 0)
    throw new RmtxError('ERR_RMTX_BAD_FLAG', `--${name} must be more than nothing`);
  return milliseconds;
}

function labelOf(flags: FlagValues): string | undefined {
  const label = flags.text('label');
  if (label !== undefined && label.length > MAX_RUN_LABEL_LENGTH)
    throw new RmtxError(
      'ERR_RMTX_BAD_FLAG',
      `--label is longer than ${MAX_RUN_LABEL_LENGTH} characters`,
    );
  return label;
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

/** `--cwd` may name a directory that only the command makes; its project is the one around it. */
function nearestDirectory(directory: string): string {
  if (statSync(directory, { throwIfNoEntry: false }) !== undefined) return directory;
  const parent = path.dirname(directory);
  return parent === directory ? directory : nearestDirectory(parent);
}

/** Found out now, not after an hour's run. */
function refuseUnwritable(file: string): void {
  const why = whyUnwritable(file);
  if (why === undefined) return;
  throw new RmtxError(
    'ERR_RMTX_BAD_FLAG',
    `--report ${printable(file)} cannot be written (${why})`,
  );
}

function whyUnwritable(file: string): string | undefined {
  try {
    const found = statSync(file, { throwIfNoEntry: false });
    if (found?.isDirectory() === true) return 'EISDIR';
    accessSync(found === undefined ? path.dirname(path.resolve(file)) : file, constants.W_OK);
    return undefined;
  } catch (error) {
    return systemErrorCode(error) ?? 'unknown error';
  }
}
