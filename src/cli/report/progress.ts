/**
 * The one line on a terminal that says what takes so long. It appears only once a step has taken a
 * second, is drawn over itself, and leaves nothing behind.
 */

/** What a step is doing, in words: `sending 12MB of 80MB`. */
export interface ProgressOptions {
  readonly write: (text: string) => void;
  /** The terminal's width now; it may change at any time. */
  readonly columns: () => number;
  /** Milliseconds of a clock that only goes forward. */
  readonly now: () => number;
}

/** Below this a line would only flicker. */
const DELAY_MS = 1000;
const REDRAW_MS = 200;
/** Back to the first column, and clear to the line's end (ECMA-48 EL). */
const ERASE = '\r\u001b[K';

interface Step {
  readonly startedAt: number;
  text: string;
}

export class ProgressLine {
  readonly #options: ProgressOptions;
  /** In the order they started. Steps overlap: a scan goes on while the connection is made. */
  readonly #steps = new Map<string, Step>();
  #timer: NodeJS.Timeout | undefined;
  #isDrawn = false;

  constructor(options: ProgressOptions) {
    this.#options = options;
  }

  begin(step: string, text: string): void {
    this.#steps.set(step, { startedAt: this.#options.now(), text });
    // Unref'd: a line about waiting must not be what is waited for.
    this.#timer ??= setInterval(() => this.#draw(), REDRAW_MS).unref();
  }

  update(step: string, text: string): void {
    const current = this.#steps.get(step);
    if (current !== undefined) current.text = text;
  }

  end(step: string): void {
    this.#steps.delete(step);
    this.erase();
    if (this.#steps.size === 0) this.stop();
  }

  /** Clears the line for other text; it comes back with the next tick where a step goes on. */
  erase(): void {
    if (!this.#isDrawn) return;
    this.#isDrawn = false;
    this.#options.write(ERASE);
  }

  /** Clears the line for good. May be called again, and after {@link begin} all starts anew. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#steps.clear();
    this.erase();
  }

  #draw(): void {
    const now = this.#options.now();
    const slow = [...this.#steps.values()].filter((step) => now - step.startedAt >= DELAY_MS);
    const shown = slow.at(-1);
    if (shown === undefined) return;
    const seconds = Math.floor((now - shown.startedAt) / 1000);
    // One column stays free: a full line would wrap, and then be erased only in part.
    const text = `rmtx: ${shown.text} (${seconds} s)`.slice(
      0,
      Math.max(0, this.#options.columns() - 1),
    );
    this.#options.write(ERASE + text);
    this.#isDrawn = true;
  }
}
