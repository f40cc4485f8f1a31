import type { Duplex } from 'node:stream';
import { isRmtxError, systemErrorCode } from '../../errors.js';
import { formatAddress } from '../../transport/address.js';
import type { Address } from '../../transport/address.js';
import { directTcp } from '../../transport/direct-tcp.js';
import { likelyFirewallRules } from '../../transport/firewall-rule.js';
import { printable } from '../../util/printable.js';
import { formatDuration } from '../../util/units.js';
import type { Neighbour } from './neighbour.js';
import { isLoopback, isPrivate } from './route.js';
import { failed, ok, warning } from './verdict.js';
import type { CauseCode, Finding, Trouble } from './verdict.js';
import type { WayBack } from './way-back.js';

/** What became of a dial: a stream, or the system's reason. */
export type Dial =
  | { readonly kind: 'open'; readonly stream: Duplex; readonly elapsedMs: number }
  | { readonly kind: 'closed'; readonly errorCode: string; readonly elapsedMs: number };

/** Never rejects; the stream is destroyed with the signal. */
export async function dial(
  address: Address,
  options: { readonly timeoutMs: number; readonly abortSignal: AbortSignal },
): Promise<Dial> {
  const startedAt = performance.now();
  const elapsed = (): number => performance.now() - startedAt;
  try {
    const stream = await directTcp(address).dial(options);
    // It may break before anybody has taken it over.
    stream.on('error', () => undefined);
    return { kind: 'open', stream, elapsedMs: elapsed() };
  } catch (error) {
    const cause = isRmtxError(error) ? error.cause : error;
    const errorCode = systemErrorCode(cause) ?? 'ETIMEDOUT';
    return { kind: 'closed', errorCode, elapsedMs: elapsed() };
  }
}

/** An address that was dialled, and what else is known of it. */
export interface DialedAddress {
  readonly address: Address;
  readonly dial: Dial;
  /** Said in the UDP step that the host is there, a moment ago. */
  readonly isHeard: boolean;
  /** In a subnet of this machine, so that no router stands between. */
  readonly isNearby: boolean;
  readonly neighbour: Neighbour;
  /** The VPN that the way leads through. */
  readonly vpn: string | undefined;
}

export interface TcpFacts {
  /** Best first; at least one. */
  readonly dialed: readonly DialedAddress[];
  /** Undefined: nobody needed to be asked to dial back, or is there to be asked. */
  readonly wayBack: WayBack | undefined;
  /** As Node names it, where the host was heard. */
  readonly platform: string | undefined;
  /** Whether other hosts of this network were heard. */
  readonly hearsOthers: boolean;
}

/**
 * Whether the host takes connections, or else makes them, and what keeps them away: the first address counts.
 */
export function judgeTcp(facts: TcpFacts): Finding {
  const open = facts.dialed.find(({ dial: { kind } }) => kind === 'open');
  const [first] = facts.dialed;
  if (first === undefined) throw new Error('Internal error: nothing was dialled');
  if (open === undefined) return judgeWayBack(first, facts);
  const where = textOf(open);
  if (open === first) return ok(`${where} takes connections`);
  const { code, cause } = troubleWith(first, facts);
  return warning(`${where} takes connections, ${textOf(first)} does not`, {
    code: open.isHeard ? 'moved' : code,
    cause: open.isHeard ? 'the host has another address now' : cause,
    cure: ['nothing to do: rmtx exec takes the address that answers, if it has the right key'],
  });
}

/** Our own dials have come to nothing. */
function judgeWayBack(first: DialedAddress, facts: TcpFacts): Finding {
  const { wayBack } = facts;
  if (wayBack?.kind === 'open') {
    const { code, cause, cure } = troubleWith(first, facts);
    return warning(`${wordsOf(first)}, but the host dials back when asked to (UDP)`, {
      code,
      cause,
      cure: ['nothing has to be done: commands get through this way; for the direct one:', ...cure],
    });
  }
  const trouble = troubleWith(first, facts);
  if (wayBack === undefined) return failed(wordsOf(first), trouble);
  const { reason, hint } = wayBack;
  const isOfUse = hint !== undefined && mayLetIn.includes(trouble.code);
  return failed(`${wordsOf(first)}, and ${printable(reason)}`, {
    ...trouble,
    cure: [...trouble.cure, ...(isOfUse ? [`or let it dial back: ${hint}`] : [])],
  });
}

/** With these the host is there, or may be. */
const mayLetIn: readonly CauseCode[] = ['firewall', 'firewall-or-asleep', 'host-not-running'];

function wordsOf({ address, dial: end }: DialedAddress): string {
  const where = printable(formatAddress(address));
  const code = end.kind === 'open' ? '' : end.errorCode;
  const time = formatDuration(end.elapsedMs);
  switch (code) {
    case 'ECONNREFUSED':
      return `${where} refuses the connection`;
    case 'ETIMEDOUT':
      return `${where} did not answer in ${time}`;
    default:
      return `${where} cannot be reached (${code})`;
  }
}

function troubleWith(tried: DialedAddress, facts: TcpFacts): Trouble {
  const { dial: end, address } = tried;
  switch (end.kind === 'open' ? '' : end.errorCode) {
    case 'ECONNREFUSED':
      return isThere(tried, facts) ? rejected(address, facts) : notRunning(address);
    case 'EACCES':
    case 'EPERM':
      return {
        code: 'firewall-here',
        cause: 'a firewall of this machine forbids the connection',
        cure: [`here, allow outgoing TCP to port ${address.port}`],
      };
    case 'ECONNRESET':
      return {
        code: 'connection-cut',
        cause: 'something between the machines, or on the host, cuts the connection',
        cure: ['on the host, see whether it runs, and where it listens: rmtx host status'],
      };
    case 'ENETUNREACH':
    case 'EADDRNOTAVAIL':
      return wrongSubnet(address);
    default:
      return noAnswer(tried, facts);
  }
}

/** Silence, or a router's word that there is no way: the neighbour table tells why. */
function noAnswer(tried: DialedAddress, facts: TcpFacts): Trouble {
  const { address, isNearby, neighbour, vpn } = tried;
  const { platform, hearsOthers } = facts;
  if (vpn !== undefined && !hasAnswered(facts))
    return {
      code: 'vpn',
      cause: `the VPN ${vpn} takes what is for this address, and the host is not in there`,
      cure: ['switch the VPN off, or allow it access to the local network; then: rmtx doctor'],
    };
  if (isThere(tried, facts) || neighbour === 'present' || isLoopback(address.host))
    return {
      code: 'firewall',
      cause: `the machine is up, and a firewall on it drops TCP ${address.port}`,
      cure: firewallCure(platform, address.port),
    };
  if (!isNearby && isPrivate(address.host)) return wrongSubnet(address);
  if (isNearby && neighbour === 'absent')
    return {
      code: 'asleep-or-off',
      cause: hearsOthers
        ? 'nobody has this address: the host is asleep or off, or has another address now; others on this network do answer'
        : 'nobody has this address: the host is asleep or off, has another address now, or the access point keeps its machines apart (client isolation, guest Wi-Fi)',
      cure: [
        'wake it up (rmtx wake NAME) or switch it on; rmtx host on it prints its address',
        'then, where that is another one: rmtx doctor --host ADDR',
      ],
    };
  return {
    code: 'firewall-or-asleep',
    cause: `a firewall drops TCP ${address.port}, or the host is asleep or off`,
    cure: ['see whether the machine is on; then:', ...firewallCure(platform, address.port)],
  };
}

/** A host has answered from there, by whatever way and however far it came. */
function isThere({ isHeard }: DialedAddress, facts: TcpFacts): boolean {
  return isHeard || hasAnswered(facts);
}

function hasAnswered({ wayBack }: TcpFacts): boolean {
  return wayBack?.kind === 'open' || wayBack?.isThere === true;
}

function rejected({ port }: Address, { platform }: TcpFacts): Trouble {
  return {
    code: 'firewall',
    cause: `rmtx host runs there, and a firewall on it rejects TCP ${port}; or it listens on another port (rmtx host status there)`,
    cure: firewallCure(platform, port),
  };
}

function notRunning({ host, port }: Address): Trouble {
  const there = isLoopback(host) ? 'here' : 'there';
  return {
    code: 'host-not-running',
    cause: `the machine is up, but rmtx host does not run ${there}, or listens on another port than ${port}`,
    cure: [isLoopback(host) ? 'start it: rmtx host' : 'on the host, start it: rmtx host'],
  };
}

function wrongSubnet({ host }: Address): Trouble {
  return {
    code: 'wrong-subnet',
    cause: `wrong subnet: ${host} belongs to another network (guest Wi-Fi, another router), which does not lead there`,
    cure: [
      'connect both machines to the same network, then: rmtx doctor',
      'or, with its address in this network: rmtx doctor --host ADDR',
    ],
  };
}

function firewallCure(platform: string | undefined, port: number): string[] {
  return [
    'on the host, type the line of its firewall:',
    ...likelyFirewallRules(platform, { tcp: [port], udp: [] }),
  ];
}

function textOf({ address }: DialedAddress): string {
  return printable(formatAddress(address));
}
