/** What of a project would take part in a run, before there is one. */
import { contextKey } from '../config/context-key.js';
import type { ResolvedConfig } from '../config/resolved-config.js';
import type { Problem } from '../sync/entry.js';
import { saveScanState } from '../sync/scan-state.js';
import { AnchoredRoot } from '../util/safe-path.js';
import { openClientHome } from './home.js';
import type { ClientHome } from './home.js';
import { ruleSourcesOf } from './project-rules.js';
import { ProjectScan } from './project-scan.js';
import { ProjectState } from './project-state.js';

export interface ProjectPreview {
  readonly files: number;
  readonly bytes: number;
  /** Directories directly below the root, those with most bytes first. */
  readonly largestFolders: readonly { readonly path: string; readonly bytes: number }[];
  readonly problems: readonly Problem[];
}

const SHOWN_FOLDERS = 3;

/** Scans as a run would, and keeps the result: the first run need not read the files again. */
export async function previewProject(
  config: ResolvedConfig,
  home: ClientHome = openClientHome(),
): Promise<ProjectPreview> {
  using root = AnchoredRoot.open(config.projectRoot);
  const state = new ProjectState(home, {
    key: contextKey(config.projectRoot, config.contextName),
    root: root.path,
  });
  using project = new ProjectScan({ root, state, rules: ruleSourcesOf(config, home) });
  const scan = await project.scan(() => undefined);
  if (scan.hasChanged) saveScanState(state.directory, scan, state.lastScan);
  const folders = new Map<string, number>();
  for (let row = 0; row < scan.table.length; row++) {
    const path = scan.table.path(row);
    const slash = path.indexOf('/');
    if (slash < 0) continue;
    const folder = path.slice(0, slash);
    folders.set(folder, (folders.get(folder) ?? 0) + scan.table.size(row));
  }
  return {
    files: scan.table.fileCount,
    bytes: scan.table.totalBytes,
    largestFolders: [...folders]
      .map(([path, bytes]) => ({ path, bytes }))
      .sort((a, b) => b.bytes - a.bytes)
      .slice(0, SHOWN_FOLDERS),
    problems: scan.problems,
  };
}
