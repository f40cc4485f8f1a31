/**
 * The program that keeps one terminal: it starts the command there and carries the bytes between the
 * terminal and the host, until the host lets go of it or is gone.
 *
 * A process of its own for each terminal, because the package that makes terminals leaves the master's
 * descriptor open in whatever is started later: in the host every other command would hold this
 * terminal, could read what is typed there and would keep its hang-up from coming. Here nothing is
 * started later. It takes 28 ms to start and 6 MB.
 */
import { Socket } from 'node:net';
import { systemErrorCode } from '../errors.js';
import { openConsole } from './console-terminal.js';
import type { KeptTerminal, TerminalEnds } from './kept-terminal.js';
import { MasterSide } from './master-side.js';
import type { FromKeeper, StartRequest, ToKeeper } from './terminal-messages.js';

let terminal: KeptTerminal | undefined;

function start(request: StartRequest): void {
  const ends: TerminalEnds = {
    // Non-blocking: a host that does not read must not keep a Ctrl-C from the command.
    input: new Socket({ fd: 0, readable: true, writable: false }),
    output: new Socket({ fd: 1, readable: false, writable: true }),
    onEnd: (end) => tell(end),
  };
  // The host wants no more; its channel says the same or closes.
  ends.input.on('error', () => undefined);
  ends.output.on('error', () => terminal?.hangUp());
  try {
    terminal =
      process.platform === 'win32' ? openConsole(request, ends) : new MasterSide(request, ends);
    tell({ type: 'started', pid: terminal.pid });
  } catch (error) {
    const isMissing = systemErrorCode(error) === 'MODULE_NOT_FOUND' || isWrapped(error);
    tell({ type: 'unavailable', isMissing, message: String(error) });
  }
}

/** The package reports its own missing half as a plain error with the true one as its cause. */
function isWrapped(error: unknown): boolean {
  return error instanceof Error && systemErrorCode(error.cause) === 'MODULE_NOT_FOUND';
}

function tell(message: FromKeeper): void {
  // The host may be gone in this moment: then nobody wants to know.
  if (process.connected) process.send?.(message, () => undefined);
}

process.on('message', (message: ToKeeper) => {
  if (message.type === 'start') start(message);
  else if (message.type === 'resize') terminal?.resize(message.columns, message.rows);
  else terminal?.hangUp();
});
// The host has everything, or has ended: then the terminal closes with us, and its processes get SIGHUP.
process.on('disconnect', () => process.exit());
// Who ends the host's service, signals all of it. The host decides when this is over.
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => undefined);
