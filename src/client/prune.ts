import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { treeSizeSync } from '../util/tree-size.js';
import type { ClientHome } from './home.js';
import { PROJECT_ROOT_FILE } from './project-state.js';

export interface PrunedProject {
  readonly kind: 'project';
  readonly name: string;
  readonly path: string;
}

/**
 * Forgets projects whose folder is gone: scans and manifests, all of them caches. What `undo` needs is
 * not touched; it is limited where it is written.
 */
export function pruneProjects(
  home: ClientHome,
  options: { readonly isDryRun: boolean },
): { deleted: PrunedProject[]; bytes: number } {
  const doomed = lostProjects(home);
  let bytes = 0;
  for (const { path: directory } of doomed) {
    bytes += treeSizeSync(directory);
    if (!options.isDryRun) rmSync(directory, { recursive: true, force: true });
  }
  return { deleted: doomed, bytes };
}

function lostProjects(home: ClientHome): PrunedProject[] {
  return list(path.join(home.directory, 'projects')).flatMap((directory) => {
    const file = path.join(directory, PROJECT_ROOT_FILE);
    if (!existsSync(file)) return [];
    const root = readFileSync(file, 'utf8');
    return existsSync(root) ? [] : [{ kind: 'project' as const, name: root, path: directory }];
  });
}

function list(directory: string): string[] {
  return existsSync(directory)
    ? readdirSync(directory).map((name) => path.join(directory, name))
    : [];
}
