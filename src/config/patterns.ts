/**
 * What the lists of patterns (`ignore`, `exclude`, `sync_back`, `keep_on_host`) accept, and the one form
 * in which the rest of rmtx sees them. Matching itself is not done here.
 */

/** In `keep_on_host`: all that .gitignore ignores. */
export const GITIGNORED = ':gitignored';

const OWN_FILES = ['.rmtx.json', 'rmtx.json', '.rmtx.local.json'];

/** What is wrong with a pattern, or undefined. */
export function patternComplaint(pattern: string): string | undefined {
  if (pattern === '') return 'must not be empty';
  if (pattern.includes('\0')) return 'must not hold a NUL character';
  if (pattern.startsWith('/'))
    return 'must not begin with "/": patterns are relative to the project root already';
  if (pattern.startsWith('!'))
    return 'must not begin with "!": there is no negation here (write "[!]" for a name that begins so)';
  if (pattern === GITIGNORED) return 'is understood in keep_on_host only';
  if (pattern.split('/').includes('..')) return 'must not leave the project root with ".."';
  return undefined;
}

export function keepOnHostComplaint(pattern: string): string | undefined {
  if (pattern === GITIGNORED) return undefined;
  if (pattern.startsWith(':')) return `is not a known word; the only one is "${GITIGNORED}"`;
  return patternComplaint(pattern);
}

export function syncBackComplaint(pattern: string): string | undefined {
  const complaint = patternComplaint(pattern);
  if (complaint !== undefined) return complaint;
  const parts = normalizePattern(pattern).toLowerCase().split('/');
  if (parts.includes('.git'))
    return 'can never come back: what a host writes into .git is not taken';
  if (parts.length === 1 && OWN_FILES.includes(parts[0] ?? ''))
    return "can never come back: a host does not write rmtx's own settings";
  return undefined;
}

/** `./a//b/` → `a/b/`; `.` → `**`, the whole project. Takes what {@link patternComplaint} lets pass. */
export function normalizePattern(pattern: string): string {
  if (pattern === GITIGNORED) return pattern;
  const isFolder = /(?:^|\/)\.?$/.test(pattern);
  const parts = pattern.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.length === 0) return '**';
  return parts.join('/') + (isFolder ? '/' : '');
}

/**
 * False when nothing that the pattern names can lie in, or hold, one of the mounts ('.' is the whole
 * project). Where a wildcard decides, the answer is true: only what is surely a mistake is refused.
 */
export function canBeMounted(pattern: string, mounts: readonly string[]): boolean {
  const parts = pattern.split('/').filter((part) => part !== '');
  return mounts.some((mount) => mount === '.' || isOnTheWay(parts, mount.split('/')));
}

/** Compared part by part, the shorter is a prefix of the longer as far as the text is literal. */
function isOnTheWay(pattern: readonly string[], mount: readonly string[]): boolean {
  for (const [index, part] of pattern.entries()) {
    const wanted = mount[index];
    if (wanted === undefined) return true;
    // `**` spans parts, and braces and escapes may hide a "/": from here on anything may match.
    if (part.includes('**') || /[{}()\\]/.test(part)) return true;
    if (!/[*?[\]]/.test(part) && part !== wanted) return false;
  }
  return true;
}
