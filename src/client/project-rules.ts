import { realpathSync } from 'node:fs';
import path from 'node:path';
import type { ResolvedConfig } from '../config/resolved-config.js';
import { RmtxError } from '../errors.js';
import { parseWorkspacePath } from '../sync/entry.js';
import { findGitSources } from '../sync/git-sources.js';
import { GITIGNORED } from '../sync/rule-sources.js';
import type { RuleSources } from '../sync/rule-sources.js';
import { printable } from '../util/printable.js';
import type { ClientHome } from './home.js';

/**
 * What decides which paths of a project take part, without the .gitignore files inside it: those are
 * found by the scan.
 */
export function ruleSourcesOf(config: ResolvedConfig, home: ClientHome): RuleSources {
  const needsGit = config.ignoreGitignore || config.keepOnHost.includes(GITIGNORED);
  const git = needsGit ? findGitSources(config.projectRoot) : undefined;
  return {
    mounts: config.mounts,
    ignore: config.ignore,
    syncBack: config.syncBack,
    keepOnHost: config.keepOnHost,
    gitignore: git?.gitignore ?? null,
    isCaseInsensitive: git?.isCaseInsensitive ?? false,
    ...ownState(config.projectRoot, home.directory),
  };
}

/** Where `RMTX_HOME` lies in the project. Throws PROJECT_ROOT_REFUSED where it is the project. */
function ownState(projectRoot: string, home: string): Pick<RuleSources, 'own'> {
  const inside = path.relative(realpathSync(projectRoot), realpathSync(home));
  if (inside === '')
    throw new RmtxError(
      'ERR_RMTX_PROJECT_ROOT_REFUSED',
      `${printable(projectRoot)} is where rmtx keeps its own state`,
      { hint: 'name another directory with RMTX_HOME, or make the project a folder of its own' },
    );
  const own = parseWorkspacePath(inside.split(path.sep).join('/'));
  return own === undefined ? {} : { own: [own] };
}
