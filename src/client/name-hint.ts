import { closest } from '../util/closest.js';
import { printable } from '../util/printable.js';

/** More is a list, which there is a command for. */
const MAX_NAMES = 3;

/** Says of a host that was named, and is not there, which paired ones it may be a slip of. Undefined for an IP address. */
export function nameHint(wanted: string, paired: readonly string[]): string | undefined {
  if (!/\p{L}/u.test(wanted) || wanted.includes(':')) return undefined;
  const left = [...paired];
  const near: string[] = [];
  while (near.length < MAX_NAMES) {
    const found = closest(wanted, left);
    if (found === undefined) break;
    near.push(printable(found));
    left.splice(left.indexOf(found), 1);
  }
  const question = near.length === 0 ? '' : `; did you mean ${near.join(' or ')}?`;
  return `no paired host is called ${printable(wanted)}${question} (rmtx hosts list shows them)`;
}
