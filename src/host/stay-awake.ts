/** Keeps the machine awake while runs are active: one inhibitor for all of them, never in a run's way. */
import { inhibitSleep } from '../runtime/sleep-inhibitor.js';
import type { InhibitScope, SleepInhibitor } from '../runtime/sleep-inhibitor.js';

/**
 * Most runs are over before anything could fall asleep: for those nothing is started, and nothing competes
 * with the first moments of the others.
 */
const START_DELAY_MS = 1000;
/** The next run often comes at once. */
const LINGER_MS = 2000;
/** After somebody ended it in the midst of a run. */
const AGAIN_MS = 60_000;

/** What `rmtx host status` says of it. */
export interface AwakeStatus {
  /** `ready`: as far as is known, the next run will keep the machine awake. */
  readonly state: 'off' | 'ready' | 'held' | 'cannot';
  /** How far it went when it was last tried. */
  readonly scope: InhibitScope | undefined;
  /** Why it cannot, or not everything. */
  readonly reason: string | undefined;
}

export interface StayAwakeOptions {
  readonly isEnabled: boolean;
  readonly log: (line: string) => void;
}

export class StayAwake implements Disposable {
  readonly #options: StayAwakeOptions;
  #active = 0;
  #inhibitor: SleepInhibitor | undefined;
  #isAsking = false;
  readonly #disposed = new AbortController();
  #starting: NodeJS.Timeout | undefined;
  #lingering: NodeJS.Timeout | undefined;
  #status: AwakeStatus;
  /** What was said last: each busy time asks anew, and says only what is new. */
  #said: string | undefined;

  constructor(options: StayAwakeOptions) {
    this.#options = options;
    const state = options.isEnabled ? 'ready' : 'off';
    this.#status = { state, scope: undefined, reason: undefined };
  }

  get status(): AwakeStatus {
    return this.#status;
  }

  /** From now until `released` settles the machine is to stay awake. */
  hold(released: Promise<unknown>): void {
    if (!this.#options.isEnabled) return;
    this.#active += 1;
    clearTimeout(this.#lingering);
    this.#askSoon(START_DELAY_MS);
    const drop = (): void => {
      this.#active -= 1;
      if (this.#active === 0) this.#releaseSoon();
    };
    released.then(drop, drop);
  }

  [Symbol.dispose](): void {
    this.#disposed.abort();
    clearTimeout(this.#starting);
    clearTimeout(this.#lingering);
    this.#release();
  }

  #askSoon(delayMs: number): void {
    if (this.#starting !== undefined || this.#isAsking || this.#inhibitor !== undefined) return;
    this.#starting = setTimeout(() => {
      this.#starting = undefined;
      if (this.#active > 0) void this.#ask();
    }, delayMs);
  }

  async #ask(): Promise<void> {
    this.#isAsking = true;
    const answer = await inhibitSleep(this.#disposed.signal);
    this.#isAsking = false;
    if ('refusal' in answer) {
      if (this.#disposed.signal.aborted) return;
      this.#status = { state: 'cannot', scope: undefined, reason: answer.refusal };
      this.#say(`cannot keep this machine awake while a run is active: ${answer.refusal}`);
      return;
    }
    const { scope, limitation } = answer;
    this.#inhibitor = answer;
    this.#status = { state: 'held', scope, reason: limitation };
    if (limitation !== undefined)
      this.#say(`a run keeps this machine only from idling into sleep: ${limitation}`);
    void answer.lost.then((reason) => this.#isLost(answer, reason));
    // All runs may have ended while the system was being asked.
    if (this.#disposed.signal.aborted) this.#release();
    else if (this.#active === 0) this.#releaseSoon();
  }

  #releaseSoon(): void {
    clearTimeout(this.#lingering);
    this.#lingering = setTimeout(() => this.#release(), LINGER_MS);
  }

  #isLost(inhibitor: SleepInhibitor, reason: string): void {
    if (this.#inhibitor !== inhibitor) return;
    this.#release();
    if (this.#active === 0 || this.#disposed.signal.aborted) return;
    this.#status = { state: 'cannot', scope: undefined, reason };
    this.#say(`this machine is kept awake no more: ${reason}`);
    this.#askSoon(AGAIN_MS);
  }

  #release(): void {
    if (this.#inhibitor === undefined) return;
    this.#inhibitor.release();
    this.#inhibitor = undefined;
    this.#status = { ...this.#status, state: 'ready' };
  }

  #say(line: string): void {
    if (line !== this.#said) this.#options.log(line);
    this.#said = line;
  }
}
