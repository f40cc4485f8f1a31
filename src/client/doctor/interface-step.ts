import type { LanInterface } from '../../discovery/lan-interfaces.js';
import { interfaceOf, isLoopback, isNearby, isPrivate, isVpn } from './route.js';
import type { Way } from './route.js';
import { failed, ok, warning } from './verdict.js';
import type { Finding } from './verdict.js';

export interface InterfaceFacts {
  /** The address that is tried first, and how the system would go there. */
  readonly target: string;
  readonly way: Way;
  readonly interfaces: readonly LanInterface[];
  /** The host was heard elsewhere, and is dialled there, too. */
  readonly isHeardElsewhere: boolean;
}

/** Whether a network of this machine leads to the host, and which. */
export function judgeInterface(facts: InterfaceFacts): Finding {
  const { target, way, interfaces } = facts;
  if (isLoopback(target)) return ok('this machine itself (loopback)');
  const outside = interfaces.filter((each) => !each.isLoopback);
  if (outside.length === 0)
    return failed('no network is up on this machine', {
      code: 'no-network',
      cause: 'the cable is out, Wi-Fi is off, or flight mode is on',
      cure: ['connect this machine to the network of the host'],
    });
  if ('errorCode' in way) {
    const verdict = facts.isHeardElsewhere ? warning : failed;
    return verdict(`no way leads from ${describe(outside)} to ${target} (${way.errorCode})`, {
      code: 'no-route',
      cause: 'wrong subnet: the host is in another network than this machine',
      cure: [
        'connect both to the same network, then: rmtx doctor',
        'or, with its address in this network: rmtx doctor --host ADDR',
      ],
    });
  }
  const through = interfaceOf(interfaces, way.source);
  const name = through?.name ?? 'an interface';
  const nearby = isNearby(interfaces, target);
  if (through !== undefined && isVpn(through))
    return warning(`${name} (${way.source}), a VPN, takes what is for ${target}`, {
      code: 'vpn',
      cause: nearby
        ? 'the VPN has taken over the way into the local network'
        : 'the host is reached through the VPN, if it is in there at all',
      cure: nearby
        ? ['switch the VPN off, or allow it access to the local network']
        : ['if the host is in your local network: switch the VPN off'],
    });
  const vpns = outside.filter(isVpn).map((each) => each.name);
  const aside = vpns.length === 0 ? '' : `; the VPN ${vpns.join(', ')} is not on the way`;
  const distance = nearby
    ? 'same subnet as the host'
    : isPrivate(target)
      ? 'another subnet than the host'
      : 'beyond a router';
  return ok(`${name} (${way.source}), ${distance}${aside}`);
}

function describe(interfaces: readonly LanInterface[]): string {
  return interfaces
    .slice(0, 3)
    .map(({ name, ipv4, ipv6 }) => `${name} (${ipv4[0]?.cidr ?? ipv6[0]?.cidr ?? 'no address'})`)
    .join(', ');
}
