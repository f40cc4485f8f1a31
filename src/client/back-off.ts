/** The first attempts come at once: most connections that break can be made again right away. */
const DELAYS_MS = [0, 100, 200, 500, 1000, 2000, 4000, 5000] as const;
/** So that the clients of a host that restarts do not all come in the same moment. */
const JITTER = 0.3;

/** How long to wait before attempt number `attempt`, counted from 0. */
export function backOffMs(attempt: number, random: () => number = Math.random): number {
  const delayMs = DELAYS_MS[Math.min(attempt, DELAYS_MS.length - 1)] ?? 0;
  return delayMs * (1 + JITTER * (2 * random() - 1));
}
