import type { ResolvedConfig } from '../config/resolved-config.js';
import { findGitSources } from '../sync/git-sources.js';
import { GITIGNORED } from '../sync/rule-sources.js';
import type { RuleSources } from '../sync/rule-sources.js';

/**
 * What decides which paths of a project take part, without the .gitignore files inside it: those are
 * found by the scan.
 */
export function ruleSourcesOf(config: ResolvedConfig): RuleSources {
  const needsGit = config.ignoreGitignore || config.keepOnHost.includes(GITIGNORED);
  const git = needsGit ? findGitSources(config.projectRoot) : undefined;
  return {
    mounts: config.mounts,
    ignore: config.ignore,
    syncBack: config.syncBack,
    keepOnHost: config.keepOnHost,
    gitignore: git?.gitignore ?? null,
    isCaseInsensitive: git?.isCaseInsensitive ?? false,
  };
}
