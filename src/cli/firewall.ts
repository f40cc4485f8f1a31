/** What to type so that this machine's firewall lets clients in. Shown, never done. */
import { readFileSync } from 'node:fs';
import { execFile } from 'node:child_process';
import { DISCOVERY_PORT } from '../discovery/packets.js';
import { firewallCommands } from '../transport/firewall-rule.js';
import type { Firewall } from '../transport/firewall-rule.js';
import { findProgram } from '../util/find-program.js';

/** DNS-SD (RFC 6762). */
const MDNS_PORT = 5353;

/** What keeps packets out here, as far as a user can see; undefined: nothing was found. Never rejects. */
export async function findFirewall(): Promise<Firewall | undefined> {
  if (process.platform === 'darwin') return 'macos';
  if (process.platform === 'win32') return 'windows';
  if (isUfwOn()) return 'ufw';
  if (await isFirewalldOn()) return 'firewalld';
  // Which rules there are only root can read.
  if (isThere('nft')) return 'nftables';
  return isThere('iptables') ? 'iptables' : undefined;
}

export interface FirewallNeeds {
  readonly tcpPort: number;
  /** Whether it announces itself and answers. */
  readonly hasDiscovery: boolean;
  /** The program that listens. */
  readonly program: string;
}

/** The first line explains, the others are to be typed. */
export function firewallLines(firewall: Firewall | undefined, needs: FirewallNeeds): string[] {
  const { tcpPort, hasDiscovery, program } = needs;
  const udp = hasDiscovery ? [DISCOVERY_PORT, MDNS_PORT] : [];
  const ports = [`TCP ${tcpPort}`, ...udp.map((port) => `UDP ${port}`)].join(', ');
  if (firewall === undefined)
    return [`no firewall was found here; one elsewhere has to let in ${ports}`];
  const commands = firewallCommands(firewall, { tcp: [tcpPort], udp, program: `'${program}'` });
  return [explained(firewall, ports), ...commands];
}

function explained(firewall: Firewall, ports: string): string {
  switch (firewall) {
    case 'ufw':
    case 'firewalld':
      return `${firewall} is on; to let clients in (${ports}):`;
    case 'nftables':
    case 'iptables':
      return `no ufw and no firewalld is on; if ${firewall} drops what comes in (${ports}):`;
    case 'macos':
      return `if the firewall of macOS is on, let this program take connections (${ports}):`;
    case 'windows':
      return `to let clients in (${ports}), in PowerShell as administrator:`;
  }
}

/** Everybody may read whether it is switched on; `ufw status` is for root. */
function isUfwOn(): boolean {
  try {
    return /^\s*ENABLED\s*=\s*yes\s*$/im.test(readFileSync('/etc/ufw/ufw.conf', 'utf8'));
  } catch {
    return false;
  }
}

function isFirewalldOn(): Promise<boolean> {
  const program = findProgram('firewall-cmd');
  if (program === undefined) return Promise.resolve(false);
  return new Promise((resolve) => {
    execFile(program, ['--state'], { timeout: 5000 }, (error) => resolve(error === null));
  });
}

/** Firewalls' programs lie where a user's PATH often does not look. */
function isThere(name: string): boolean {
  return findProgram(name, `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`) !== undefined;
}
