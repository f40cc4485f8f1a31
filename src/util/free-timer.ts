/** A timer that is later than that tells of a busy thread, in which nothing else could have come either. */
const LATE_MS = 50;

/**
 * Calls `onTime` after a delay in which this thread was free to hear what came meanwhile: where it was busy, the
 * delay begins again. Returns what calls it off.
 */
export function afterFreeTime(delayMs: number, onTime: () => void): () => void {
  let timer: NodeJS.Timeout;
  const begin = (): void => {
    const dueMs = performance.now() + delayMs;
    timer = setTimeout(() => {
      if (performance.now() - dueMs > LATE_MS) begin();
      else onTime();
    }, delayMs);
  };
  begin();
  return () => clearTimeout(timer);
}
