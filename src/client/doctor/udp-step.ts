import type { DiscoveredHost } from '../../discovery/sightings.js';
import { DISCOVERY_PORT } from '../../discovery/packets.js';
import { likelyFirewallRules } from '../../transport/firewall-rule.js';
import { formatAddress } from '../../transport/address.js';
import type { PeerId } from '../../trust/fingerprint.js';
import { printable } from '../../util/printable.js';
import { formatDuration } from '../../util/units.js';
import { ok, warning } from './verdict.js';
import type { Finding } from './verdict.js';

export interface UdpFacts {
  /** False: the config has switched looking around off. */
  readonly isOn: boolean;
  readonly service: string;
  readonly heard: readonly DiscoveredHost[];
  /** The hosts that may be meant; undefined before any pairing: whoever is heard at a known address. */
  readonly prefixes: readonly PeerId[] | undefined;
  /** Addresses that are known without discovery, as `HOST:PORT` with literals. */
  readonly known: readonly string[];
  readonly listenedMs: number;
  /** `self`: the host's address is of this machine. `far`: a router stands between. */
  readonly distance: 'self' | 'near' | 'far';
  /** Addresses that were named are final. */
  readonly isFinal: boolean;
}

/** Of all that was heard, what says that it is the host: a hint, for the key to prove. */
export function claimsOf(facts: Pick<UdpFacts, 'heard' | 'prefixes' | 'known'>): DiscoveredHost[] {
  const { heard, prefixes, known } = facts;
  return heard.filter((host) =>
    prefixes === undefined
      ? host.addresses.some((address) => known.includes(formatAddress(address)))
      : prefixes.includes(host.identityPrefix),
  );
}

/** Whether the host can be found by looking around. Never a failure: an address that is known is enough. */
export function judgeUdp(facts: UdpFacts): Finding {
  if (!facts.isOn) return ok('not asked: the config has switched discovery off');
  const [claim] = claimsOf(facts);
  if (claim === undefined) return notHeard(facts);
  const at = claim.addresses.map(formatAddress);
  const shown = printable(at[0] ?? '');
  const name = printable(claim.name);
  if (facts.isFinal || at.some((address) => facts.known.includes(address)))
    return ok(`heard ${name} at ${shown}`);
  return warning(`${name} is heard at ${shown}, not at ${printable(facts.known.join(', '))}`, {
    code: 'moved',
    cause: 'the host has another address now',
    cure: ['nothing to do: rmtx exec finds it there, once its key has answered'],
  });
}

function notHeard(facts: UdpFacts): Finding {
  const { heard, listenedMs, service, distance } = facts;
  const time = formatDuration(listenedMs);
  const others = heard.map((host) => printable(host.name)).slice(0, 3);
  if (others.length > 0)
    return warning(`not heard in ${time}; others are: ${others.join(', ')}`, {
      code: 'not-announced',
      cause: `rmtx host does not run there, runs with --no-discovery, under another --service than ${service}, or its firewall drops UDP ${DISCOVERY_PORT}`,
      cure: ['on the host, see whether it runs: rmtx host status'],
    });
  const detail = `not heard in ${time}`;
  if (distance === 'self')
    return warning(detail, {
      code: 'not-announced',
      cause: `rmtx host does not run here, runs with --no-discovery, or under another --service than ${service}`,
      cure: ['nothing to do while the next steps are well'],
    });
  if (distance === 'far')
    return warning(detail, {
      code: 'wrong-subnet',
      cause: 'the host is in another subnet, into which nobody can be heard',
      cure: ['nothing to do while the next steps are well: its address is known'],
    });
  return warning(detail, {
    code: 'firewall',
    cause: `a firewall drops UDP ${DISCOVERY_PORT}, there or here; or the access point keeps its machines apart (client isolation, guest Wi-Fi)`,
    cure: [
      'nothing to do while the next steps are well and its address stays;',
      'else, on the host, let it in, on Linux for one:',
      ...likelyFirewallRules('linux', { tcp: [], udp: [DISCOVERY_PORT] }).slice(0, 2),
    ],
  });
}
