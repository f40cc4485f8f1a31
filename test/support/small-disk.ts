import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** Why there are none on this machine; false where there are. */
export function noSmallDisks(): string | false {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'needs root on Linux';
  const tried = spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'none', '/mnt']);
  return tried.status === 0 ? false : 'this machine lets nobody mount';
}

/** A file system of its own, soon full. */
export class SmallDisk implements Disposable {
  readonly directory: string;

  constructor(directory: string, megabytes: number) {
    this.directory = directory;
    mkdirSync(directory, { recursive: true });
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m,mode=700`, 'tmpfs', directory]);
  }

  /** Uses up what is left. */
  fill(): void {
    const file = path.join(this.directory, 'filler');
    for (const chunk of [1024 * 1024, 4096]) {
      try {
        for (;;) writeFileSync(file, Buffer.alloc(chunk), { flag: 'a' });
      } catch {
        // Full, as far as this size goes.
      }
    }
  }

  free(): void {
    rmSync(path.join(this.directory, 'filler'));
  }

  [Symbol.dispose](): void {
    // Lazily: hosts and clients of the test may still have files there.
    execFileSync('umount', ['-l', this.directory]);
  }
}
