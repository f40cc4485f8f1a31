/** Scenes of runs that outlive their connections. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Rig } from './rig.js';
import type { RigHost } from './rig.js';
import { VisitingClient } from './visiting-client.js';

export const noProc = existsSync('/proc/self/cmdline') ? false : 'needs /proc';

export async function scene(rig: Rig): Promise<{ host: RigHost; client: VisitingClient }> {
  const host = await rig.host();
  return { host, client: new VisitingClient(rig, host) };
}

/** Where a shell script waits until the test lets it go on. */
export function newGate(rig: Rig): { readonly wait: string; open(): Promise<void> } {
  const fifo = path.join(rig.newDirectory('gate'), 'fifo');
  execFileSync('mkfifo', [fifo]);
  return { wait: `read _ < ${fifo}`, open: () => writeFile(fifo, '\n') };
}

/** The code of the error that it rejects with. */
export async function codeOf(attempt: Promise<unknown>): Promise<unknown> {
  return attempt.then(
    () => 'no error',
    (error: unknown) => (error as { code?: string }).code ?? error,
  );
}

/** What `seq` prints. */
export function numbers(count: number): string {
  return Array.from({ length: count }, (_, index) => `${index + 1}\n`).join('');
}
