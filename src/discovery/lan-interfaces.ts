/** The networks this machine is attached to right now. */
import { BlockList, isIPv6 } from 'node:net';
import os from 'node:os';

export interface LanInterface {
  readonly name: string;
  readonly isLoopback: boolean;
  readonly ipv4: readonly {
    readonly address: string;
    /** `192.168.1.0/24`. */
    readonly cidr: string;
    /** Undefined where the subnet has none, as on a tunnel. */
    readonly broadcast: string | undefined;
  }[];
  /** What stands after the % of a link-local IPv6 address; undefined where the interface has none. */
  readonly zone: string | undefined;
  /** Global and link-local ones, without a zone. */
  readonly ipv6: readonly { readonly address: string; readonly cidr: string }[];
}

/** A machine may have hundreds, one for each container; sending is work for each. */
const MAX_INTERFACES = 32;

/** All that are up, the container ends last, at most {@link MAX_INTERFACES}. */
export function lanInterfaces(): LanInterface[] {
  return Object.entries(os.networkInterfaces())
    .map(([name, addresses]) => interfaceOf(name, addresses ?? []))
    .sort((a, b) => Number(isContainerEnd(a)) - Number(isContainerEnd(b)))
    .slice(0, MAX_INTERFACES);
}

/**
 * Those through which a host that listens at `listening` can be reached; that is an IP literal, `::` for
 * every address of both families, `0.0.0.0` for every IPv4 one.
 */
export function interfacesOf(all: readonly LanInterface[], listening: string): LanInterface[] {
  if (listening === '::') return [...all];
  if (listening === '0.0.0.0') return all.map((each) => ({ ...each, zone: undefined, ipv6: [] }));
  const literal = listening.split('%')[0];
  return all
    .map((each) => ({
      ...each,
      ipv4: each.ipv4.filter(({ address }) => address === literal),
      ipv6: each.ipv6.filter(({ address }) => address === literal),
    }))
    .filter((each) => each.ipv4.length + each.ipv6.length > 0)
    .map((each) => (each.ipv6.length > 0 ? each : { ...each, zone: undefined }));
}

/** Says of an IP literal whether it lies in a subnet of these interfaces. */
export function subnetCheck(interfaces: readonly LanInterface[]): (address: string) => boolean {
  const subnets = new BlockList();
  for (const { ipv4, ipv6 } of interfaces) {
    for (const { cidr } of ipv4) addSubnet(subnets, cidr, 'ipv4');
    for (const { cidr } of ipv6) addSubnet(subnets, cidr, 'ipv6');
  }
  return (address) => {
    const literal = address.split('%')[0] ?? '';
    return subnets.check(literal, isIPv6(literal) ? 'ipv6' : 'ipv4');
  };
}

/** Changes exactly when an address comes or goes. */
export function interfacesKey(interfaces: readonly LanInterface[]): string {
  return interfaces
    .map(({ name, zone, ipv4, ipv6 }) =>
      [name, zone, ...ipv4.map(({ cidr }) => cidr), ...ipv6.map(({ cidr }) => cidr)].join(' '),
    )
    .join('\n');
}

function interfaceOf(name: string, addresses: readonly os.NetworkInterfaceInfo[]): LanInterface {
  const isLoopback = addresses.some(({ internal }) => internal);
  const linkLocal = addresses.find(
    (each) => each.family === 'IPv6' && /^fe[89ab]/i.test(each.address),
  );
  return {
    name,
    isLoopback,
    ipv4: addresses
      .filter(({ family }) => family === 'IPv4')
      .map(({ address, netmask, cidr }) => ({
        address,
        cidr: cidr ?? `${address}/32`,
        broadcast: broadcastOf(address, netmask),
      })),
    zone: linkLocal?.family === 'IPv6' ? zoneOf(name, linkLocal.scopeid) : undefined,
    ipv6: addresses
      .filter(({ family }) => family === 'IPv6')
      .map(({ address, cidr }) => ({ address, cidr: cidr ?? `${address}/128` })),
  };
}

/** Windows knows interfaces by their number. */
function zoneOf(name: string, scopeId: number): string {
  return process.platform === 'win32' ? String(scopeId) : name;
}

/** Undefined for /31 and /32: two ends of a wire have nobody else to tell. */
function broadcastOf(address: string, netmask: string): string | undefined {
  const mask = numberOf(netmask);
  if (mask >>> 0 >= 0xffff_fffe) return undefined;
  const broadcast = (numberOf(address) | ~mask) >>> 0;
  return [24, 16, 8, 0].map((shift) => (broadcast >>> shift) & 0xff).join('.');
}

function numberOf(ipv4: string): number {
  return ipv4.split('.').reduce((value, part) => (value << 8) | Number(part), 0);
}

function addSubnet(subnets: BlockList, cidr: string, family: 'ipv4' | 'ipv6'): void {
  const [network = '', prefix = ''] = cidr.split('/');
  subnets.addSubnet(network, Number(prefix), family);
}

function isContainerEnd({ name }: LanInterface): boolean {
  return name.startsWith('veth');
}
