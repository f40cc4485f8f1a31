/** More than a busy event loop ever loses, less than it takes a peer to count us as dead. */
const SUSPICIOUS_MS = 10_000;
const INTERVAL_MS = 1000;

/**
 * Notices that this process or its whole machine was suspended. A suspended machine's connections may be
 * dead without a sign of it, and a monotonic clock may have stood still: so what counts is that the
 * calendar jumped. Setting the clock looks the same; whoever asks must not mind.
 */
export class SleepWatch implements Disposable {
  readonly #now: () => number;
  readonly #onWake: () => void;
  readonly #timer: NodeJS.Timeout;
  #lastMs: number;

  /** The timer holds no process alive. `now` is the calendar's time in milliseconds. */
  constructor(onWake: () => void, now: () => number = () => Date.now()) {
    this.#now = now;
    this.#onWake = onWake;
    this.#lastMs = now();
    this.#timer = setInterval(() => this.#tick(), INTERVAL_MS);
    this.#timer.unref();
  }

  #tick(): void {
    const nowMs = this.#now();
    const passedMs = nowMs - this.#lastMs;
    this.#lastMs = nowMs;
    if (passedMs > INTERVAL_MS + SUSPICIOUS_MS) this.#onWake();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
