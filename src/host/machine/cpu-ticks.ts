/** How busy the processors are: the difference between two looks at what they have done since the start. */
import { readFile } from 'node:fs/promises';
import os from 'node:os';

/** Of one processor, in the system's own unit. */
export interface CpuTicks {
  /** The system's number for it: processors come and go. */
  readonly cpu: number;
  readonly busy: number;
  readonly total: number;
}

/**
 * On Linux from /proc/stat: Node's os.cpus() also asks each processor for its frequency, which takes
 * milliseconds a processor on some machines and blocks meanwhile. It leaves out stolen time, too.
 */
export async function readCpuTicks(): Promise<CpuTicks[]> {
  if (process.platform === 'linux') return parseProcStat(await readFile('/proc/stat', 'utf8'));
  return os.cpus().map(({ times }, cpu) => {
    const busy = times.user + times.nice + times.sys + times.irq;
    return { cpu, busy, total: busy + times.idle };
  });
}

export function parseProcStat(text: string): CpuTicks[] {
  const lines = text.matchAll(/^cpu(\d+) ([\d ]+)$/gm);
  return Array.from(lines, ([, cpu, numbers = '']) => {
    // What comes after these eight, the time of guests, is in the first two already.
    const times = numbers.trim().split(/ +/).slice(0, 8).map(Number);
    const total = times.reduce((sum, time) => sum + time, 0);
    const [, , , idle = 0, ioWait = 0] = times;
    return { cpu: Number(cpu), busy: total - idle - ioWait, total };
  });
}

/**
 * Percent of the time between two looks that each processor was busy, one decimal; in the order of the
 * second. A processor that was not there before, or whose clock has not moved, counts as idle.
 */
export function usedPercents(before: readonly CpuTicks[], after: readonly CpuTicks[]): number[] {
  const earlier = new Map(before.map((ticks) => [ticks.cpu, ticks]));
  return after.map((ticks) => {
    const from = earlier.get(ticks.cpu);
    // Waiting for a disk is counted down at times (proc(5)), so both differences may be below zero.
    const total = ticks.total - (from?.total ?? ticks.total);
    const busy = ticks.busy - (from?.busy ?? ticks.busy);
    return total <= 0 ? 0 : rounded(Math.min(1, Math.max(0, busy / total)) * 100);
  });
}

export function rounded(percent: number): number {
  return Math.round(percent * 10) / 10;
}
