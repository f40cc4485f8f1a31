/** A name, or a pattern of names: `CI`, `GITHUB_*`. */
const FORWARD_PATTERN = /^[^\s=\p{Cc}]+$/u;

/** What is wrong with an entry of `env.forward`, or undefined. */
export function forwardComplaint(pattern: string): string | undefined {
  if (pattern === '') return 'must not be empty';
  if (pattern.includes('='))
    return 'must be a name without a value; a value for one run is given with --env NAME=VALUE';
  if (/^[*?]+$/.test(pattern))
    return 'would forward every variable, secrets included; name them or write a prefix such as "CI_*"';
  if (!FORWARD_PATTERN.test(pattern)) return 'is not the name of a variable';
  return undefined;
}

/**
 * The variables of `env` that `env.forward` names. `*` stands for any text, `?` for one character. A
 * name that is not set is left out: there is nothing to forward.
 */
export function forwardedEnvironment(
  patterns: readonly string[],
  env: NodeJS.ProcessEnv,
): Record<string, string> {
  const chosen: Record<string, string> = {};
  const globs: RegExp[] = [];
  for (const pattern of patterns) {
    if (/[*?]/.test(pattern)) globs.push(toExpression(pattern));
    else if (env[pattern] !== undefined) chosen[pattern] = env[pattern];
  }
  if (globs.length === 0) return chosen;
  for (const [name, value] of Object.entries(env))
    if (value !== undefined && globs.some((glob) => glob.test(name))) chosen[name] = value;
  return chosen;
}

function toExpression(pattern: string): RegExp {
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, String.raw`\$&`)
    .replace(/\*+/g, '.*')
    .replaceAll('?', '.');
  // Windows does not tell the case of a variable's name.
  return new RegExp(`^${source}$`, process.platform === 'win32' ? 'siu' : 'su');
}
