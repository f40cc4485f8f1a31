/** Commands on a terminal, for tests of the runtime. */
import type { TestContext } from 'node:test';
import { startTerminalProcess } from '../../src/runtime/terminal-process.js';
import type { CommandSpec, RunningCommand, TerminalSpec } from '../../src/runtime/runtime.js';
import { createDeferred } from '../../src/util/deferred.js';
import { finish, specOf } from './commands.js';
import type { Finished } from './commands.js';

export const CTRL_C = '\x03';
export const CTRL_Z = '\x1a';
export const CTRL_BACKSLASH = '\x1c';

const WAIT_MS = 10_000;
const TERMINAL: TerminalSpec = { columns: 90, rows: 33, term: 'xterm-256color' };

/** A command with what it showed so far. */
export class OnTerminal {
  readonly command: RunningCommand;
  readonly #finished: Promise<Finished>;
  #shown = '';
  #waiting: (() => void) | undefined;

  constructor(command: RunningCommand) {
    this.command = command;
    command.stdout.on('data', (piece: Buffer) => {
      this.#shown += piece.toString('latin1');
      this.#waiting?.();
    });
    this.#finished = finish(command);
  }

  get shown(): string {
    return this.#shown;
  }

  get finished(): Promise<Finished> {
    return this.#finished;
  }

  type(text: string | Buffer): void {
    this.command.stdin?.write(text);
  }

  /** Resolves once what was shown after the last call matches. */
  async shows(wanted: RegExp): Promise<void> {
    const limit = createDeferred<'limit'>();
    const timer = setTimeout(() => limit.resolve('limit'), WAIT_MS);
    while (!wanted.test(this.#shown)) {
      const more = new Promise<'more'>((resolve) => {
        this.#waiting = () => resolve('more');
      });
      const next = await Promise.race([more, this.#finished, limit.promise]);
      if (next !== 'more' && !wanted.test(this.#shown))
        throw new Error(`never showed ${String(wanted)}: ${JSON.stringify(this.#shown)}`);
    }
    clearTimeout(timer);
    this.#shown = this.#shown.replace(wanted, '');
  }
}

export async function startOnTerminal(
  t: TestContext,
  argv: readonly string[],
  rest: Partial<CommandSpec> & { readonly terminal?: TerminalSpec } = {},
): Promise<OnTerminal> {
  const command = await startTerminalProcess({
    ...specOf(argv, rest),
    terminal: rest.terminal ?? TERMINAL,
  });
  t.after(() => command.stdout.destroy());
  return new OnTerminal(command);
}

/** To its end. */
export async function runOnTerminal(
  argv: readonly string[],
  rest: Partial<CommandSpec> = {},
): Promise<Finished> {
  return finish(await startTerminalProcess({ ...specOf(argv, rest), terminal: TERMINAL }));
}
