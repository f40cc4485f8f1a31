import { formatDuration } from '../../util/units.js';
import type { HostAnswer } from './pairing-step.js';
import { ok, warning } from './verdict.js';
import type { Finding } from './verdict.js';

/** Runs compare the clocks and allow for the difference; what people read in logs is off by it. */
const NOTABLE_MS = 30_000;

/** Whether both machines have the same time. Nobody here can tell which one is wrong. */
export function judgeClock({ hostMs, ownMs, rttMs }: HostAnswer): Finding {
  const offsetMs = hostMs - ownMs;
  const amount = formatDuration(Math.abs(offsetMs));
  if (Number.isNaN(offsetMs))
    return warning('the host does not say what time it has', {
      code: 'clock',
      cause: 'its answer is not that of an rmtx host of this version',
      cure: ['compare rmtx version on both machines'],
    });
  if (Math.abs(offsetMs) < NOTABLE_MS + rttMs) return ok('the same here and there');
  const which = offsetMs > 0 ? 'ahead of' : 'behind';
  return warning(`the host's clock is ${amount} ${which} this machine's`, {
    code: 'clock',
    cause: `one of the clocks is wrong: it is ${new Date(ownMs).toISOString()} here`,
    cure: [
      'on the machine that is wrong, set it by the network:',
      'Linux: sudo timedatectl set-ntp true',
      'macOS: sudo sntp -sS time.apple.com',
      'Windows: w32tm /resync',
    ],
  });
}
