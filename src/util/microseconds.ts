import type { Stats } from 'node:fs';

/** No time of an entry is further from the epoch, in either direction. */
export const MAX_TIME_US = 2 ** 52 - 1;

/**
 * Every time in rmtx is a whole number of microseconds since the epoch. A file may have one that no record of ours
 * holds (a clock that was wrong, `touch -d 2300-01-01`): it counts as the last or the first that fits.
 *
 * Node's `Stats.mtimeMs` is a double of milliseconds, good to about 0.25 µs today, so flooring it is
 * the same for the same file every time, and exact for a file whose time is a whole microsecond.
 */
export function toMicroseconds(milliseconds: number): number {
  return toTimeUs(Math.floor(milliseconds * 1000));
}

/** The nearest time that every record can hold: from 1827 to 2112, as `ByteWriter.zigzag`. */
export function toTimeUs(microseconds: number): number {
  return Math.max(-MAX_TIME_US, Math.min(MAX_TIME_US, microseconds));
}

export function mtimeUsOf(stats: Stats): number {
  return toMicroseconds(stats.mtimeMs);
}

export function ctimeUsOf(stats: Stats): number {
  return toMicroseconds(stats.ctimeMs);
}

/**
 * Seconds for `fs.utimes` that land on exactly this microsecond: the system truncates the double it is
 * given, so aim at the middle of the microsecond. As text before 1970: of a negative number Node makes now.
 */
export function toUtimesSeconds(microseconds: number): number | string {
  return microseconds < 0 ? `${(microseconds - 0.5) / 1e6}` : (microseconds + 0.5) / 1e6;
}

/** The wall clock now. */
export function nowUs(): number {
  return Date.now() * 1000;
}
