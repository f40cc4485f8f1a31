import { setImmediate } from 'node:timers/promises';

/** Long enough that yielding costs nothing, short enough that timers and sockets stay in time. */
const SLICE_MS = 10;

/**
 * Lets the event loop breathe in a long synchronous loop:
 * `for (const item of items) { …; if (slice.isOver()) await slice.next(); }`.
 */
export class TimeSlice {
  #endsAt = performance.now() + SLICE_MS;

  isOver(): boolean {
    return performance.now() >= this.#endsAt;
  }

  async next(): Promise<void> {
    await setImmediate();
    this.#endsAt = performance.now() + SLICE_MS;
  }
}
