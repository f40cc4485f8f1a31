import { createDeferred } from '../../util/deferred.js';

export interface SlowReadingOptions<T> {
  /** Must end by itself at some time. Where it rejects, the value is undefined. */
  readonly read: () => Promise<T>;
  /** How long a value counts as fresh; one that could not be read, too. */
  readonly keepMs: number;
  /** How long whoever asks is made to wait for it. */
  readonly waitMs: number;
}

/**
 * A value that may take long to read, for those who cannot wait: what was read last is given out while it is
 * read anew, and undefined where there is nothing yet. It is never read twice at a time, and only when asked for.
 */
export class SlowReading<T> {
  readonly #options: SlowReadingOptions<T>;
  #value: T | undefined;
  #readAt = -Infinity;
  #reading: Promise<void> | undefined;

  constructor(options: SlowReadingOptions<T>) {
    this.#options = options;
  }

  /** Never rejects. */
  async latest(): Promise<T | undefined> {
    const { keepMs, waitMs } = this.#options;
    if (performance.now() - this.#readAt < keepMs) return this.#value;
    this.#reading ??= this.#read();
    const limit = createDeferred<undefined>();
    const timer = setTimeout(() => limit.resolve(undefined), waitMs);
    await Promise.race([this.#reading, limit.promise]);
    clearTimeout(timer);
    return this.#value;
  }

  async #read(): Promise<void> {
    try {
      this.#value = await this.#options.read();
    } catch {
      this.#value = undefined;
    } finally {
      this.#readAt = performance.now();
      this.#reading = undefined;
    }
  }
}
