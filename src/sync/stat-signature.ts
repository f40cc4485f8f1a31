import type { Stats } from 'node:fs';
import { ctimeUsOf, mtimeUsOf } from '../util/microseconds.js';

/**
 * What lstat said when the content was known to be the entry's. While a file still has it, nobody has
 * written to the file, so its content need not be read.
 *
 * Not the device: its number changes at a reboot on some file systems.
 */
export interface StatSignature {
  readonly ino: number;
  readonly mtimeUs: number;
  readonly ctimeUs: number;
  /** Recorded so soon after the last change that a later one could have left the same times. */
  readonly isRacy: boolean;
}

/**
 * Two changes within one tick of the file system's clock leave the same ctime, so a signature proves
 * nothing about what came later in that tick. Ticks are 1 to 10 ms on Linux, 15.6 ms on Windows.
 */
export const RACY_WINDOW_US = 20_000;

/**
 * The longest wait for times to leave the window: our clock shows whole milliseconds, so that of a file just
 * written can be ahead of it. Times further ahead are not waited for: the clock was set back.
 */
export const LONGEST_RACY_US = RACY_WINDOW_US + 1000;

/**
 * True when a later change could hide behind these times, as seen at `clockUs`. A ctime ahead of the
 * clock is racy, too: the clock was set back and may pass that moment again.
 */
export function isRacyAt(
  clockUs: number,
  times: Pick<StatSignature, 'mtimeUs' | 'ctimeUs'>,
): boolean {
  return (
    times.ctimeUs > clockUs - RACY_WINDOW_US || Math.abs(clockUs - times.mtimeUs) < RACY_WINDOW_US
  );
}

/** The signature of a file whose content is known; `clockUs` is the wall clock at the lstat. */
export function signatureOf(stats: Stats, clockUs: number): StatSignature {
  const mtimeUs = mtimeUsOf(stats);
  const ctimeUs = ctimeUsOf(stats);
  return { ino: stats.ino, mtimeUs, ctimeUs, isRacy: isRacyAt(clockUs, { mtimeUs, ctimeUs }) };
}
