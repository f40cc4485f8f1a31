/** Long synchronous work in slices, so that the event loop can serve a connection meanwhile. */

import { orAborted } from './or-aborted.js';

/** 10 ms a slice delays a packet less than a network does. */
const SLICE_MS = 10;

/** Work in steps; one that yields a promise goes on when that has resolved. */
export type Steps<T> = Generator<Promise<void> | undefined, T>;

export interface SliceOptions {
  readonly abortSignal?: AbortSignal | undefined;
  /** Called before each slice but the first. */
  readonly onSlice?: () => void;
}

/**
 * Runs a generator to its end and returns its result. It yields wherever it may be interrupted, as often
 * as it likes (50 ns each). When aborted it is ended at such a place, so that its `finally` blocks run,
 * and the signal's reason is thrown. Rejects with what a promise of a step rejects with.
 */
export async function runInSlices<T>(steps: Steps<T>, options: SliceOptions = {}): Promise<T> {
  try {
    for (;;) {
      options.abortSignal?.throwIfAborted();
      const end = performance.now() + SLICE_MS;
      do {
        const step = steps.next();
        if (step.done === true) return step.value;
        if (step.value !== undefined) {
          const { abortSignal } = options;
          await (abortSignal === undefined ? step.value : orAborted(step.value, abortSignal));
          abortSignal?.throwIfAborted();
        }
      } while (performance.now() < end);
      await new Promise((resolve) => setImmediate(resolve));
      options.onSlice?.();
    }
  } finally {
    // Does nothing to one that has ended.
    steps.return(undefined as T);
  }
}

/** Runs a generator to its end at once, for a caller that has the thread to itself. */
export function runAtOnce<T>(steps: Generator<undefined, T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}
