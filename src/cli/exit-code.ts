import { isRmtxError } from '../errors.js';

/** What an exit status of rmtx means; README and `rmtx help exit-codes` show it. */
export const exitCodeTable: readonly (readonly [code: string, meaning: string])[] = [
  ['0', 'done; for exec and attach: the command ended with 0 and its changes are here'],
  ['1', 'failed (every command but exec and attach)'],
  ['2', 'wrong usage: unknown command or flag, missing value'],
  ['122', 'exec, attach: the command ended with 0 but some changes could not be applied here'],
  ['124', 'exec: --timeout ended the command'],
  ['125', 'exec, attach: rmtx itself failed (not paired, host gone, bad config)'],
  ['126', 'exec: the command was found but cannot be executed'],
  ['127', 'exec: the command was not found'],
  ['128+n', 'exec: signal n ended the command'],
  ['130', 'interrupted with Ctrl-C'],
  ['other', "exec: the command's own exit code"],
];

export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;
const EXIT_RUN_FAILED = 125;
export const EXIT_INTERRUPTED = 130;

/** Commands whose exit status is that of a command on the host. */
const runningCommands: readonly (string | undefined)[] = ['exec', 'attach'];

/**
 * The exit status for a failure of rmtx itself. `exec` and `attach` have their own, so that a script can
 * tell rmtx's failures from the command's.
 */
export function exitCodeOfError(error: unknown, commandName: string | undefined): number {
  const isRunning = runningCommands.includes(commandName);
  if (isRmtxError(error)) {
    // The command line is right; it is the place that lacks something.
    if (error.code === 'ERR_RMTX_NEEDS_TERMINAL' && isRunning) return EXIT_RUN_FAILED;
    if (error.family === 'usage') return EXIT_USAGE;
    if (error.code === 'ERR_RMTX_INTERRUPTED') return EXIT_INTERRUPTED;
  }
  return isRunning ? EXIT_RUN_FAILED : EXIT_FAILED;
}
