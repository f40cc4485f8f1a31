import { formatSize } from '../../util/units.js';
import { failed, ok, warning } from './verdict.js';
import type { Finding, Trouble } from './verdict.js';

/** Below this no run can begin: its records and its pipes have no room. */
const NEEDED_BYTES = 1e6;
/** Below this a build is likely to fill it. */
const COMFORTABLE_BYTES = 1e9;

const CURE = [
  'drop what the host keeps of old projects:',
  'rmtx context prune --older-than 30d, then: rmtx cache prune',
  'or free some space on the host',
];

/** Whether the host's disk has room for a run. */
export function judgeDisk(freeBytes: number | undefined): Finding {
  if (freeBytes === undefined) return ok('the host does not say; the trial run will show');
  const free = `${formatSize(freeBytes)} free on the host`;
  if (freeBytes < NEEDED_BYTES) return failed(free, diskFull('the disk of the host is full'));
  return freeBytes < COMFORTABLE_BYTES
    ? warning(free, diskFull("the host's disk is nearly full: a large run may not fit"))
    : ok(free);
}

export function diskFull(cause: string): Trouble {
  return { code: 'disk-full', cause, cure: CURE };
}
