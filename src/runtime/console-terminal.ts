/** A terminal on Windows: a pseudo console, by the package's own wrapper. It speaks text, not bytes. */
import { StringDecoder } from 'node:string_decoder';
import type * as NodePty from '@lydell/node-pty';
import { drained } from '../util/drained.js';
import type { KeptTerminal, TerminalEnds } from './kept-terminal.js';
import type { StartRequest } from './terminal-messages.js';

/** Throws where the package is not installed or the command cannot be started. */
export function openConsole(request: StartRequest, ends: TerminalEnds): KeptTerminal {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- optional, and only in the keeper
  const { spawn } = require('@lydell/node-pty') as typeof NodePty;
  const [file = '', ...args] = request.argv;
  const { cwd, env, columns, rows } = request;
  const console_ = spawn(file, args, { cwd, env, cols: columns, rows });
  console_.onData((text) => {
    if (ends.output.write(text)) return;
    console_.pause();
    void drained(ends.output).then(() => console_.resume());
  });
  console_.onExit(({ exitCode }) => {
    ends.onEnd({ type: 'exited', code: exitCode, exitSignal: 0 });
    ends.input.destroy();
    ends.output.end();
  });
  carryInput(console_, ends);
  return {
    pid: console_.pid,
    resize: (newColumns, newRows) => console_.resize(newColumns, newRows),
    hangUp: () => console_.kill(),
  };
}

function carryInput(console_: NodePty.IPty, { input }: TerminalEnds): void {
  const decoder = new StringDecoder('utf8');
  input.on('data', (piece: Buffer) => console_.write(decoder.write(piece)));
}
