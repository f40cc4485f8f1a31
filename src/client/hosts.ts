import { forgetKnownHost, listKnownHosts as readKnownHosts } from '../trust/known-hosts.js';
import { hostsDirectory } from './home.js';
import type { ClientHome } from './home.js';

/** A host that this client is paired with. */
export interface PairedHostInfo {
  readonly name: string;
  readonly fingerprint: string;
  /** Where it answered last, or was paired with. */
  readonly address: string;
  readonly pairedAt: string;
  readonly lastSeen: string | undefined;
}

export function listKnownHosts(
  home: ClientHome,
  options: { readonly warn?: (line: string) => void } = {},
): PairedHostInfo[] {
  const log = options.warn ?? (() => undefined);
  return readKnownHosts(hostsDirectory(home), { log }).map((host) => ({
    name: host.name,
    fingerprint: host.fingerprint,
    address: host.lastAddress ?? host.addresses[0] ?? '',
    pairedAt: host.pairedAt,
    lastSeen: host.lastSeen,
  }));
}

/** Forgets a host's key and addresses here; the host's own list is its own. Throws UNKNOWN_HOST. */
export function forgetHost(home: ClientHome, named: string): { name: string; fingerprint: string } {
  const { name, fingerprint } = forgetKnownHost(hostsDirectory(home), named);
  return { name, fingerprint };
}
