import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { serviceManager } from '../../host/autostart.js';
import { RmtxError } from '../../errors.js';
import { printable } from '../../util/printable.js';
import type { Invocation } from '../arguments.js';

const DEFAULT_LINES = 100;
const MAX_LINES = 1_000_000;

/** Shows the log by the system's own program, and ends as that does. */
export async function run({ flags }: Invocation): Promise<number> {
  const lines = linesOf(flags.text('lines'));
  const manager = await serviceManager({ command: [], isOnlyPlanned: true });
  if ((await manager.existing()) === undefined)
    throw new RmtxError('ERR_RMTX_HOST_NOT_RUNNING', 'no host is installed for this user', {
      hint: 'rmtx host install does that; a host that you start yourself logs to its terminal',
    });
  const isJson = flags.has('json');
  if (isJson && manager.kind !== 'systemd')
    throw new RmtxError('ERR_RMTX_BAD_FLAG', 'the log is plain text on this system', {
      hint: 'leave out --json',
    });
  const command = manager.showing({ lines, isFollowed: flags.has('follow'), isJson });
  return show(command);
}

function show([file = '', ...args]: readonly string[]): Promise<number> {
  // Ctrl-C is for the program, too: it ends, and so does this.
  process.on('SIGINT', () => undefined);
  return new Promise((resolve, reject) => {
    const program = spawn(file, args, { stdio: 'inherit' });
    program.on('error', (cause) => {
      reject(
        new RmtxError('ERR_RMTX_AUTOSTART_UNAVAILABLE', `cannot run ${file}: ${cause.message}`, {
          cause,
        }),
      );
    });
    program.on('exit', (code, exitSignal) => {
      resolve(code ?? 128 + (exitSignal === null ? 0 : constants.signals[exitSignal]));
    });
  });
}

function linesOf(text: string | undefined): number {
  if (text === undefined) return DEFAULT_LINES;
  const lines = /^\d{1,7}$/.test(text) ? Number(text) : NaN;
  if (lines <= MAX_LINES) return lines;
  throw new RmtxError('ERR_RMTX_BAD_FLAG', `--lines ${printable(text)} is not a number of lines`, {
    hint: `write a number up to ${MAX_LINES}`,
  });
}
