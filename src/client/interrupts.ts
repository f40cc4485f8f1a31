/**
 * What Ctrl-C and friends mean at each stage of a run. The table for users is in docs/signals.md.
 *
 * SIGINT and SIGTERM end things: before the command has started the run is given up; while it runs the
 * first one asks it to end, the second ends it at once and the third leaves; during sync-back the first
 * waits for the end and the second leaves (the journal makes that safe: the next command finishes it).
 *
 * SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGTSTP and SIGCONT are for the command, and passed on to it.
 */
import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises';
import { FORWARDED_SIGNALS } from '../protocol/messages.js';
import type { ForwardedSignal } from '../protocol/messages.js';

const ENDING = ['SIGINT', 'SIGTERM'] as const;
/** What a connection that takes nothing any more may delay Ctrl-Z. */
const SUSPEND_LIMIT_MS = 500;

export interface InterruptHandlers {
  /** Forced: at once, else by the ladder. */
  readonly onStop: (isForced: boolean) => void;
  /**
   * Passes a signal on. Resolves when it is on its way, or when that cannot be known: this process stops
   * itself after SIGTSTP was passed on.
   */
  readonly onSignal?: ((name: ForwardedSignal) => void | Promise<void>) | undefined;
}

/** What has to be given back while this process is stopped, such as the terminal's mode. */
export interface SuspensionHandlers {
  readonly onSuspend: () => void;
  readonly onResume: () => void;
}

export class Interrupts implements Disposable {
  /** Aborted when the run is given up before its command started. */
  readonly abandoned = new AbortController();
  /** Told what a signal did and what another one would do, once a command has started. */
  onNotice: (message: string) => void = () => undefined;
  #count = 0;
  #signalName: string | undefined;
  #handlers: InterruptHandlers | undefined;
  #suspension: SuspensionHandlers | undefined;
  #isFinishing = false;
  #suspending: 'no' | 'about-to' | 'stopped' = 'no';
  /** Came before the command could have them. */
  readonly #early = new Set<ForwardedSignal>();
  readonly #onEnding = (name: NodeJS.Signals): void => this.#end(name);
  readonly #onForwarded = (name: NodeJS.Signals): void => this.#pass(name as ForwardedSignal);

  constructor() {
    for (const name of ENDING) process.on(name, this.#onEnding);
    // Listening to SIGUSR1 also keeps Node from opening its debugger on it.
    for (const name of FORWARDED_SIGNALS) process.on(name, this.#onForwarded);
  }

  /** The signal that ended the run or asked it to, the first if there were several. */
  get received(): string | undefined {
    return this.#signalName;
  }

  /** To be called before there is anything to give back. */
  aroundSuspension(handlers: SuspensionHandlers): void {
    this.#suspension = handlers;
  }

  /**
   * The command runs: from now on signals go to it. One that came just before goes at once. Where signals
   * cannot be passed on, those that end a program by default ask the command to end.
   */
  commandStarted(handlers: InterruptHandlers | InterruptHandlers['onStop']): void {
    this.#handlers = typeof handlers === 'function' ? { onStop: handlers } : handlers;
    if (this.#count > 0) this.#handlers.onStop(false);
    for (const name of this.#early) void this.#handlers.onSignal?.(name);
    this.#early.clear();
  }

  /** The command has ended; what is left is bringing its changes home. */
  commandEnded(): void {
    this.#isFinishing = true;
    this.#count = 0;
  }

  [Symbol.dispose](): void {
    for (const name of ENDING) process.off(name, this.#onEnding);
    for (const name of FORWARDED_SIGNALS) process.off(name, this.#onForwarded);
  }

  #end(name: NodeJS.Signals): void {
    this.#count += 1;
    this.#signalName ??= name;
    if (this.#isFinishing) {
      if (this.#count > 1) process.exit(130);
      this.onNotice('bringing the changes home; press Ctrl-C again to leave');
    } else if (this.#handlers === undefined) {
      this.abandoned.abort();
    } else {
      // The host does not answer any more; it ends the command as it was asked to.
      if (this.#count > 2) process.exit(130);
      this.#handlers.onStop(this.#count > 1);
      this.onNotice(
        this.#count > 1
          ? 'ending the command at once; press Ctrl-C again to leave'
          : 'asking the command to end (SIGTERM in 5 s, SIGKILL in 15 s); press Ctrl-C again to end it at once',
      );
    }
  }

  #pass(name: ForwardedSignal): void {
    switch (name) {
      case 'SIGTSTP':
        void this.#suspend();
        break;
      case 'SIGCONT':
        this.#resume();
        break;
      case 'SIGHUP':
      case 'SIGQUIT':
        this.#hangUp(name);
        break;
      case 'SIGUSR1':
      case 'SIGUSR2':
        if (this.#handlers === undefined) this.#early.add(name);
        else if (!this.#isFinishing) this.#forward(name);
        break;
    }
  }

  /** Ends a program that does nothing about it, so before the command runs it gives up, too. */
  #hangUp(name: 'SIGHUP' | 'SIGQUIT'): void {
    if (this.#isFinishing) {
      // A terminal that was closed is no reason to leave the changes there.
      if (name === 'SIGQUIT') process.exit(131);
    } else if (this.#handlers === undefined) {
      this.#end(name);
    } else this.#forward(name);
  }

  #forward(name: ForwardedSignal): void {
    const { onSignal } = this.#handlers ?? {};
    if (onSignal !== undefined) void onSignal(name);
    else this.#end(name);
  }

  async #suspend(): Promise<void> {
    if (this.#suspending !== 'no') return;
    this.#suspending = 'about-to';
    if (!this.#isFinishing)
      await Promise.race([this.#handlers?.onSignal?.('SIGTSTP'), delay(SUSPEND_LIMIT_MS)]);
    // What was written a moment ago is with the system by then.
    await nextTurn();
    // Told to go on meanwhile. A stop that came now would never end.
    if (!this.#isAboutToSuspend()) return;
    this.#suspending = 'stopped';
    this.#suspension?.onSuspend();
    process.kill(process.pid, 'SIGSTOP');
  }

  /** Asked again after each wait. */
  #isAboutToSuspend(): boolean {
    return this.#suspending === 'about-to';
  }

  #resume(): void {
    if (this.#suspending === 'stopped') this.#suspension?.onResume();
    this.#suspending = 'no';
    if (!this.#isFinishing) void this.#handlers?.onSignal?.('SIGCONT');
  }
}
