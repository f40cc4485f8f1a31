/** The rules that let rmtx through a firewall, for people to type on the machine that drops it. Only ever shown. */

export type Firewall = 'ufw' | 'firewalld' | 'nftables' | 'iptables' | 'macos' | 'windows';

/** What is to come in. */
export interface Openings {
  readonly tcp: readonly number[];
  readonly udp: readonly number[];
  /** The program that listens, as its shell takes it: macOS asks by program. */
  readonly program: string;
}

/** The lines to type. Those for macOS and Windows are from their makers' documents and have not been tried. */
export function firewallCommands(firewall: Firewall, { tcp, udp, program }: Openings): string[] {
  const each = (
    line: (protocol: 'tcp' | 'udp', ports: readonly number[]) => string[],
  ): string[] => [...line('tcp', tcp), ...line('udp', udp)];
  const one = (line: (protocol: string, port: number) => string): string[] =>
    each((protocol, ports) => ports.map((port) => line(protocol, port)));
  switch (firewall) {
    case 'ufw':
      return one((protocol, port) => `sudo ufw allow ${port}/${protocol}`);
    case 'firewalld': {
      const ports = one((protocol, port) => ` --add-port=${port}/${protocol}`).join('');
      return [`sudo firewall-cmd --permanent${ports} && sudo firewall-cmd --reload`];
    }
    case 'nftables':
      return each((protocol, ports) => {
        const set = ports.length === 1 ? String(ports[0]) : `'{ ${ports.join(', ')} }'`;
        const rule = `sudo nft insert rule inet filter input ${protocol} dport ${set} accept`;
        return ports.length === 0 ? [] : [rule];
      });
    case 'iptables':
      return one(
        (protocol, port) => `sudo iptables -I INPUT -p ${protocol} --dport ${port} -j ACCEPT`,
      );
    case 'macos': {
      const tool = '/usr/libexec/ApplicationFirewall/socketfilterfw';
      return [`sudo ${tool} --add ${program} && sudo ${tool} --unblockapp ${program}`];
    }
    case 'windows':
      return each((protocol, ports) => {
        const rule = `New-NetFirewallRule -DisplayName 'rmtx ${protocol.toUpperCase()}' -Direction Inbound -Action Allow -Profile Private -Protocol ${protocol.toUpperCase()} -LocalPort ${ports.join(',')}`;
        return ports.length === 0 ? [] : [rule];
      });
  }
}

const suspects: Readonly<Record<string, readonly Firewall[]>> = {
  linux: ['ufw', 'firewalld', 'nftables'],
  darwin: ['macos'],
  win32: ['windows'],
};

/**
 * One line for each firewall that a system of this kind (as Node names it) may have, with its name; for an
 * unknown system, the usual ones of each.
 */
export function likelyFirewallRules(
  platform: string | undefined,
  ports: Pick<Openings, 'tcp' | 'udp'>,
): string[] {
  const program = '"$(command -v node)"';
  const firewalls = suspects[platform ?? ''] ?? ['ufw', 'firewalld', 'macos', 'windows'];
  return firewalls.map(
    (firewall) => `${firewall}: ${firewallCommands(firewall, { ...ports, program }).join(' && ')}`,
  );
}
