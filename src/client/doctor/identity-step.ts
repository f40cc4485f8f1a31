import { formatAddress } from '../../transport/address.js';
import type { Address } from '../../transport/address.js';
import { shortFingerprint } from '../../trust/fingerprint.js';
import type { Fingerprint } from '../../trust/fingerprint.js';
import type { KnownHost } from '../../trust/known-hosts.js';
import { printable } from '../../util/printable.js';
import { failed, ok } from './verdict.js';
import type { Finding } from './verdict.js';

/** Whether the key that answered is one that was pinned. */
export function judgeIdentity(facts: {
  readonly address: Address;
  readonly fingerprint: Fingerprint;
  /** Undefined: nobody is paired with it. */
  readonly pins: readonly Fingerprint[] | undefined;
  readonly known: readonly KnownHost[];
}): Finding {
  const { address, fingerprint, pins, known } = facts;
  const owner = known.find((host) => host.fingerprint === fingerprint);
  const shown = shortFingerprint(fingerprint);
  if (pins === undefined) return ok(`an rmtx host, ${shown}`);
  if (pins.includes(fingerprint)) return ok(`${printable(owner?.name ?? 'the host')}, ${shown}`);
  const where = printable(formatAddress(address));
  if (owner !== undefined)
    return failed(`at ${where} answers ${printable(owner.name)}, another paired host`, {
      code: 'another-identity',
      cause: 'the two hosts have changed addresses, or the config pins the other one',
      cure: [`to use it as it is: rmtx doctor --host ${printable(owner.name)}`],
    });
  return failed(`at ${where} answers another key: ${shown}`, {
    code: 'another-identity',
    cause:
      'the host was reinstalled or got a new state directory; or another machine has its address, perhaps an impostor',
    cure: [
      'on the host, compare the identity: rmtx host status',
      'only where it is this one, get a code there: rmtx host pair-code',
      `and pair again here: rmtx init --host ${where}`,
    ],
  });
}
