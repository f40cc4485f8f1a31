/** The most memory that a process of the rig had, as the kernel counts it. */
import { readFileSync } from 'node:fs';
import type { Result, RigHost, RunningRmtx } from './rig.js';

/** Until now. */
export function memoryOf(host: RigHost): { peakMb: number } {
  return { peakMb: Math.round(peakMbOf(host.running)) };
}

/** Runs to the end; the most memory that the process had. */
export async function peakMemory(
  running: RunningRmtx,
): Promise<{ result: Result; peakMb: number }> {
  let peakMb = 0;
  const look = setInterval(() => {
    try {
      peakMb = Math.max(peakMb, peakMbOf(running));
    } catch {
      // It is gone.
    }
  }, 20);
  const result = await running.ended;
  clearInterval(look);
  return { result, peakMb: Math.round(peakMb) };
}

function peakMbOf({ child }: RunningRmtx): number {
  const status = readFileSync(`/proc/${child.pid ?? 0}/status`, 'utf8');
  return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024;
}
