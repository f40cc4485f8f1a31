/** Which files a process opens, told by strace. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';

/** Why the opens of a process cannot be traced here; false where they can. */
export function tracingIsMissing(): string | false {
  const { status } = spawnSync('strace', ['-f', '-D', '-o', '/dev/null', 'true']);
  return status === 0 ? false : 'strace is not here or may not trace';
}

/** Put before a command line: its process stays the one that is started, strace looks on from aside. */
export function tracer(traceFile: string): string[] {
  const calls = 'trace=open,openat,openat2,creat';
  return ['strace', '-D', '-f', '-y', '-s', '4096', '-e', calls, '-o', traceFile];
}

/** The files below `root` that were opened since `from`, a length of the trace. Directories do not count. */
export function openedFiles(traceFile: string, root: string, from = 0): string[] {
  const opened = new Set<string>();
  for (const line of readFileSync(traceFile, 'utf8').slice(from).split('\n')) {
    const file = /= \d+<(.*?)(?: \(deleted\))?>$/.exec(line)?.[1];
    if (file?.startsWith(`${root}/`) !== true) continue;
    if (existsSync(file) && statSync(file).isDirectory()) continue;
    opened.add(file.slice(root.length + 1));
  }
  return [...opened].sort();
}
