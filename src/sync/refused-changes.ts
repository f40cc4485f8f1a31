import type { Problem, WorkspacePath } from './entry.js';
import { isGitIndex, refusedTop } from './own-names.js';
import type { PathKind } from './rules.js';
import type { WorkspaceRules } from './workspace-rules.js';

/**
 * What a command did in vain: to `.git` or to rmtx's settings, which no host may write at home. Each such
 * directory or file is told once, since work that vanishes in silence (a commit) is the worst of all.
 */
export class RefusedChanges {
  readonly #rules: WorkspaceRules;
  readonly #tops = new Set<string>();

  constructor(rules: WorkspaceRules) {
    this.#rules = rules;
  }

  get problems(): Problem[] {
    return [...this.#tops].map((top) => ({
      path: top as WorkspacePath,
      code: 'refused',
      message: 'the run changed it on the host, and that never comes back',
    }));
  }

  /** A path that is not as it was, of whatever kind it was or is now. */
  note(path: string, kind: PathKind): void {
    if (this.#rules.isRefused(path, kind) && !isGitIndex(path)) this.#tops.add(refusedTop(path));
  }
}
