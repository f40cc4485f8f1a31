/** The rules that let rmtx through, for people to type on the machine that drops it. They are only shown. */

export interface Port {
  readonly protocol: 'tcp' | 'udp';
  readonly number: number;
}

/**
 * One line for each firewall that a system of this kind (as Node names it) may have, with its name; for an
 * unknown system, the usual ones of each. Lines for macOS and Windows are from their makers' documents and
 * have not been tried.
 */
export function firewallRules(platform: string | undefined, port: Port): string[] {
  const opened = `${port.number}/${port.protocol}`;
  const ufw = `ufw: sudo ufw allow ${opened}`;
  const firewalld = `firewalld: sudo firewall-cmd --permanent --add-port=${opened} && sudo firewall-cmd --reload`;
  const nft = `nftables: sudo nft insert rule inet filter input ${port.protocol} dport ${port.number} accept`;
  const macos =
    'macOS: sudo /usr/libexec/ApplicationFirewall/socketfilterfw --add "$(command -v node)"';
  const windows = `Windows: netsh advfirewall firewall add rule name=rmtx dir=in action=allow protocol=${port.protocol} localport=${port.number}`;
  if (platform === 'linux') return [ufw, firewalld, nft];
  if (platform === 'darwin') return [macos];
  return platform === 'win32' ? [windows] : [ufw, firewalld, macos, windows];
}
