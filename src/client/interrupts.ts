/** What Ctrl-C and friends mean at each stage of a run. */

const HANDLED = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Before the command has started an interrupt gives up; while it runs the first one asks it to end, the
 * second ends it at once and the third leaves; during sync-back the first waits for the end and the second leaves (the
 * journal makes that safe: the next command finishes it).
 */
export class Interrupts implements Disposable {
  /** Aborted when the run is given up before its command started. */
  readonly abandoned = new AbortController();
  #count = 0;
  #signalName: string | undefined;
  #onStop: ((isForced: boolean) => void) | undefined;
  #isFinishing = false;
  readonly #onNotice: (message: string) => void;
  readonly #handler = (name: NodeJS.Signals): void => this.#handle(name);

  constructor(onNotice: (message: string) => void) {
    this.#onNotice = onNotice;
    for (const name of HANDLED) process.on(name, this.#handler);
  }

  /** The signal that came first, or undefined while none came. */
  get received(): string | undefined {
    return this.#signalName;
  }

  /** The command runs: from now on interrupts go to it. One that came just before goes at once. */
  commandStarted(onStop: (isForced: boolean) => void): void {
    this.#onStop = onStop;
    if (this.#count > 0) onStop(false);
  }

  /** The command has ended; what is left is bringing its changes home. */
  commandEnded(): void {
    this.#isFinishing = true;
    this.#count = 0;
  }

  [Symbol.dispose](): void {
    for (const name of HANDLED) process.off(name, this.#handler);
  }

  #handle(name: NodeJS.Signals): void {
    this.#count += 1;
    this.#signalName ??= name;
    if (this.#isFinishing) {
      if (this.#count > 1) process.exit(130);
      this.#onNotice('bringing the changes home; press Ctrl-C again to leave');
    } else if (this.#onStop === undefined) {
      this.abandoned.abort();
    } else {
      // The host does not answer any more; it ends the command when it misses us.
      if (this.#count > 2) process.exit(130);
      this.#onStop(this.#count > 1);
      this.#onNotice(
        this.#count > 1
          ? 'ending the command at once; press Ctrl-C again to leave'
          : 'asking the command to end (SIGTERM in 5 s, SIGKILL in 15 s); press Ctrl-C again to end it at once',
      );
    }
  }
}
