import { accessSync, constants, statSync } from 'node:fs';
import path from 'node:path';

/** The absolute path of a program as PATH has it; undefined where no directory of PATH does. POSIX only. */
export function findProgram(
  name: string,
  searched: string = process.env['PATH'] ?? '',
): string | undefined {
  return searched
    .split(':')
    .filter((directory) => path.isAbsolute(directory))
    .map((directory) => path.join(directory, name))
    .find(isExecutableFile);
}

function isExecutableFile(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
