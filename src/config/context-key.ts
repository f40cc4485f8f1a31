/**
 * Names that tell projects apart. Two folders, worktrees or context names never share one: the parts
 * are joined as a JSON array, in which no part can imitate the border to the next.
 */

/**
 * Names a context within one client: 32 hex digits of the project root's real path and the context
 * name. The host adds the client's identity; so the key says nothing to, and takes nothing from, others.
 */
export function contextKey(projectRoot: string, contextName: string): string {
  return shortHash(['rmtx context 1', projectRoot, contextName]);
}

/** Names a project folder on this machine, whatever its context is called: 32 hex digits. */
export function projectKey(projectRoot: string): string {
  return shortHash(['rmtx project 1', projectRoot]);
}

function shortHash(parts: readonly string[]): string {
  // Loaded by the first key: on the way to exec's first packet there is none.
  const { createHash } = process.getBuiltinModule('node:crypto');
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32);
}
