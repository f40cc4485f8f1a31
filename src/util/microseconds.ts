import type { Stats } from 'node:fs';

/**
 * Every time in rmtx is a whole number of microseconds since the epoch, exact in a double until 2255.
 *
 * Node's `Stats.mtimeMs` is a double of milliseconds, good to about 0.25 µs today, so flooring it is
 * the same for the same file every time, and exact for a file whose time is a whole microsecond.
 */
export function toMicroseconds(milliseconds: number): number {
  return Math.floor(milliseconds * 1000);
}

export function mtimeUsOf(stats: Stats): number {
  return toMicroseconds(stats.mtimeMs);
}

export function ctimeUsOf(stats: Stats): number {
  return toMicroseconds(stats.ctimeMs);
}

/**
 * Seconds for `fs.utimes` that land on exactly this microsecond: Node truncates the double it is
 * given, so aim at the middle of the microsecond.
 */
export function toUtimesSeconds(microseconds: number): number {
  return (microseconds + 0.5) / 1e6;
}

/** The wall clock now. */
export function nowUs(): number {
  return Date.now() * 1000;
}
