/** Files of a project of the rig. */
import { readFileSync } from 'node:fs';
import type { RigProject, Tree } from './rig.js';

export function manyFiles(count: number, directory = 'src'): Tree {
  return Object.fromEntries(
    Array.from({ length: count }, (_, number) => [`${directory}/f${number}`, `content ${number}`]),
  );
}

export function text(project: RigProject, name: string): string {
  return readFileSync(project.path(name), 'utf8');
}
