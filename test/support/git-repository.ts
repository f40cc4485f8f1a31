/** A real git repository for tests that ask git itself. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { pathFromBytes, pathToBytes, toFsPath } from '../../src/util/path-bytes.js';

export class GitRepository implements Disposable {
  /** Holds the repository and the home directory. */
  readonly base: string;
  readonly root: string;
  readonly home: string;
  /** Nothing of this machine's user or system is seen by git. */
  readonly env: NodeJS.ProcessEnv;

  constructor() {
    this.base = realpathSync(mkdtempSync(path.join(os.tmpdir(), 'rmtx-git-')));
    this.root = path.join(this.base, 'repo');
    this.home = path.join(this.base, 'home');
    mkdirSync(this.root);
    mkdirSync(this.home);
    this.env = { PATH: process.env['PATH'], HOME: this.home, GIT_CONFIG_NOSYSTEM: '1' };
    this.git(['init', '-q']);
  }

  git(args: readonly string[], input?: string | Buffer): Buffer {
    try {
      return execFileSync('git', args, {
        cwd: this.root,
        env: this.env,
        stdio: ['pipe', 'pipe', 'ignore'],
        maxBuffer: 1 << 26,
        ...(input === undefined ? {} : { input }),
      });
    } catch (error) {
      // check-ignore says 1 where nothing is ignored.
      if (args[0] === 'check-ignore' && (error as { status?: unknown }).status === 1)
        return Buffer.alloc(0);
      throw error;
    }
  }

  /** Those of the paths that git ignores. */
  ignored(paths: readonly string[]): string[] {
    const question = Buffer.concat(paths.map((one) => pathToBytes(`${one}\0`)));
    return splitNames(this.git(['check-ignore', '-z', '--stdin'], question));
  }

  write(relative: string, content: string | Buffer): void {
    mkdirSync(path.join(this.root, path.dirname(relative)), { recursive: true });
    writeFileSync(toFsPath(`${this.root}/${relative}`), content);
  }

  read(relative: string): string {
    return readFileSync(path.join(this.root, relative), 'utf8');
  }

  [Symbol.dispose](): void {
    rmSync(this.base, { recursive: true, force: true });
  }
}

/** What a git command with `-z` says. */
export function splitNames(answer: Buffer): string[] {
  const names: string[] = [];
  let start = 0;
  for (let end = answer.indexOf(0); end >= 0; end = answer.indexOf(0, start)) {
    names.push(pathFromBytes(answer.subarray(start, end)));
    start = end + 1;
  }
  return names;
}
