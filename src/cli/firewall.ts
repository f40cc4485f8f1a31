/** What to type so that this machine's firewall lets clients in. Shown, never done. */
import { readFileSync } from 'node:fs';
import { execFile } from 'node:child_process';
import { DISCOVERY_PORT } from '../discovery/packets.js';
import { findProgram } from '../util/find-program.js';

/** DNS-SD (RFC 6762). */
const MDNS_PORT = 5353;

export type Firewall =
  'ufw' | 'firewalld' | 'nftables' | 'iptables' | 'macos' | 'windows' | 'none-found';

/** What keeps packets out here, as far as a user can see. Never rejects. */
export async function findFirewall(): Promise<Firewall> {
  if (process.platform === 'darwin') return 'macos';
  if (process.platform === 'win32') return 'windows';
  if (isUfwOn()) return 'ufw';
  if (await isFirewalldOn()) return 'firewalld';
  // Which rules there are only root can read.
  if (isThere('nft')) return 'nftables';
  return isThere('iptables') ? 'iptables' : 'none-found';
}

export interface FirewallNeeds {
  readonly tcpPort: number;
  /** Whether it announces itself and answers. */
  readonly hasDiscovery: boolean;
  /** The program that listens. */
  readonly program: string;
}

/** The first line explains, the others are to be typed. */
export function firewallLines(firewall: Firewall, needs: FirewallNeeds): string[] {
  const { tcpPort, hasDiscovery, program } = needs;
  const udpPorts = hasDiscovery ? [DISCOVERY_PORT, MDNS_PORT] : [];
  const ports = [`TCP ${tcpPort}`, ...udpPorts.map((port) => `UDP ${port}`)].join(', ');
  switch (firewall) {
    case 'ufw':
      return [
        `ufw is on; to let clients in (${ports}):`,
        `sudo ufw allow ${tcpPort}/tcp`,
        ...udpPorts.map((port) => `sudo ufw allow ${port}/udp`),
      ];
    case 'firewalld': {
      const udp = udpPorts.map((port) => ` --add-port=${port}/udp`).join('');
      return [
        `firewalld is on; to let clients in (${ports}):`,
        `sudo firewall-cmd --permanent --add-port=${tcpPort}/tcp${udp} && sudo firewall-cmd --reload`,
      ];
    }
    case 'nftables':
      return [
        `no ufw and no firewalld is on; if nftables drops what comes in (${ports}):`,
        `sudo nft insert rule inet filter input tcp dport ${tcpPort} accept`,
        ...(hasDiscovery
          ? [`sudo nft insert rule inet filter input udp dport '{ ${udpPorts.join(', ')} }' accept`]
          : []),
      ];
    case 'iptables':
      return [
        `no ufw and no firewalld is on; if iptables drops what comes in (${ports}):`,
        `sudo iptables -I INPUT -p tcp --dport ${tcpPort} -j ACCEPT`,
        ...udpPorts.map((port) => `sudo iptables -I INPUT -p udp --dport ${port} -j ACCEPT`),
      ];
    case 'macos': {
      const tool = '/usr/libexec/ApplicationFirewall/socketfilterfw';
      return [
        `if the firewall of macOS is on, let this program take connections (${ports}):`,
        `sudo ${tool} --add '${program}' && sudo ${tool} --unblockapp '${program}'`,
      ];
    }
    case 'windows':
      return [
        `to let clients in (${ports}), in PowerShell as administrator:`,
        `New-NetFirewallRule -DisplayName 'rmtx host' -Direction Inbound -Action Allow -Profile Private -Protocol TCP -LocalPort ${tcpPort}`,
        ...(hasDiscovery
          ? [
              `New-NetFirewallRule -DisplayName 'rmtx host (discovery)' -Direction Inbound -Action Allow -Profile Private -Protocol UDP -LocalPort ${udpPorts.join(',')}`,
            ]
          : []),
      ];
    case 'none-found':
      return [`no firewall was found here; one elsewhere has to let in ${ports}`];
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
