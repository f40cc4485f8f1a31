/** What the keeper of a terminal has in its hands, on whatever system. */
import type { Socket } from 'node:net';
import type { FromKeeper } from './terminal-messages.js';

/** A terminal with a command in it, as the keeper sees it. */
export interface KeptTerminal {
  readonly pid: number;
  resize(columns: number, rows: number): void;
  hangUp(): void;
}

export interface TerminalEnds {
  /** What is typed. */
  readonly input: Socket;
  /** What is shown; ended by the terminal once nothing can come any more. */
  readonly output: Socket;
  readonly onEnd: (end: Extract<FromKeeper, { type: 'exited' | 'not-executable' }>) => void;
}
