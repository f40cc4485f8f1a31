import { setImmediate } from 'node:timers/promises';

/** How long synchronous work may hold the event loop before it lets others run. */
export const SLICE_MS = 10;

/** Runs a generator of small steps to its end, giving way to the event loop every slice. */
export async function runInSlices<T>(steps: Generator<unknown, T>): Promise<T> {
  let started = performance.now();
  for (let step = steps.next(); ; step = steps.next()) {
    if (step.done === true) return step.value;
    if (performance.now() - started < SLICE_MS) continue;
    await setImmediate();
    started = performance.now();
  }
}

/** Runs a generator of small steps to its end, in a worker or for little work. */
export function runAtOnce<T>(steps: Generator<unknown, T>): T {
  for (let step = steps.next(); ; step = steps.next()) if (step.done === true) return step.value;
}
