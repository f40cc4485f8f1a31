import { createDeferred } from '../util/deferred.js';
import type { HostedRun } from './hosted-run.js';
import type { Interrupts } from './interrupts.js';
import type { LocalTerminal } from './terminal.js';

export interface TerminalStay {
  /** Ours, where the command has one and somebody sits at it here. */
  readonly terminal: LocalTerminal | undefined;
  readonly interrupts: Interrupts;
  readonly run: HostedRun;
}

/**
 * Lends the terminal to the run for as long as `stay` takes or until it gives it back.
 * Resolves as `stay` does, or with undefined where whoever sits there has left the run.
 */
export async function atTerminal<T>(
  { terminal, interrupts, run }: TerminalStay,
  stay: (giveBack: () => void) => Promise<T>,
): Promise<T | undefined> {
  if (terminal === undefined) return stay(() => undefined);
  const left = createDeferred<undefined>();
  interrupts.aroundSuspension({
    onSuspend: () => terminal.suspend(),
    // It takes itself again.
    onResume: () => undefined,
  });
  try {
    terminal.lend({
      onResize: (size) => run.resize(size),
      onLeave: () => {
        left.resolve(undefined);
        // Ends the looking for a host, too.
        interrupts.abandoned.abort();
      },
    });
    const stayed = stay(() => terminal.giveBack());
    stayed.catch(() => undefined);
    return await Promise.race([left.promise, stayed]);
  } finally {
    terminal.giveBack();
  }
}
