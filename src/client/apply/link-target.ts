import { parentOf } from '../../sync/entry.js';

/**
 * True when a link at `path` with this target surely leads to a place in the project: relative, going
 * up only at its start and no further than the project root.
 *
 * A `..` after a name is not accepted: that name may itself be a link, and then `..` is somewhere else
 * than the text says. The directories above `path` are real ones, so going up at the start is exact.
 */
export function staysInside(path: string, target: string): boolean {
  const text = process.platform === 'win32' ? target.replaceAll('\\', '/') : target;
  if (text.startsWith('/') || (process.platform === 'win32' && /^[a-z]:/i.test(text))) return false;
  const parent = parentOf(path);
  let depth = parent === '' ? 0 : parent.split('/').length;
  let hasName = false;
  for (const part of text.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') {
      hasName = true;
      continue;
    }
    depth -= 1;
    if (hasName || depth < 0) return false;
  }
  return true;
}
