/**
 * Programs that stand in for those of a system which does not run here (systemd and its tools): real second
 * processes, first in PATH, that write down how they were called.
 */
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

export class StandInPrograms {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
    mkdirSync(directory, { recursive: true });
  }

  /** PATH with these programs before all others. */
  get path(): string {
    return `${this.#directory}:${process.env['PATH'] ?? ''}`;
  }

  /**
   * `script` is a shell's; each call is noted before it runs. In it `$notes` is a file name of the program's
   * own, to leave something for the test.
   */
  add(name: string, script: string): void {
    const file = path.join(this.#directory, name);
    const notes = `${file}.notes`;
    const lines = ['#!/bin/sh', `notes='${notes}'`, `echo "$$ $*" >>'${file}.calls'`, script, ''];
    writeFileSync(file, lines.join('\n'));
    chmodSync(file, 0o755);
  }

  /** Every call so far: the process, and its arguments in one line. */
  calls(name: string): { readonly pid: number; readonly args: string }[] {
    const file = path.join(this.#directory, `${name}.calls`);
    if (!existsSync(file)) return [];
    const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1);
    return lines.map((line) => {
      const [pid = '', ...args] = line.split(' ');
      return { pid: Number(pid), args: args.join(' ') };
    });
  }

  notes(name: string): string {
    return readFileSync(path.join(this.#directory, `${name}.notes`), 'utf8');
  }
}

/** Resolves with the first value that is not undefined, looked for again and again. */
export async function eventually<T>(
  what: string,
  look: () => Promise<T | undefined> | T | undefined,
): Promise<T> {
  const deadline = performance.now() + 20_000;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > deadline) throw new Error(`never came: ${what}`);
    await delay(10);
  }
}
