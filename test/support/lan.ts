/** Machines on a network of their own: network namespaces on a bridge, made and removed by the test. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';

/** Why there can be none here; false where they can. */
export function noLan(): string | false {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'needs root on Linux';
  if (spawnSync('ip', ['-V']).status !== 0) return 'needs ip (iproute2)';
  const name = `rmtx-${process.pid}-try`;
  const made = spawnSync('ip', ['netns', 'add', name]).status === 0;
  const linked =
    made &&
    spawnSync('ip', ['-n', name, 'link', 'add', 'br0', 'type', 'bridge']).status === 0 &&
    spawnSync('ip', ['-n', name, 'link', 'add', 'port', 'type', 'veth']).status === 0;
  if (made) spawnSync('ip', ['netns', 'del', name]);
  return linked ? false : 'this machine lets nobody make networks';
}

/** Why nothing can be dropped here; false where it can. */
export function noFirewall(): string | false {
  return spawnSync('nft', ['--version']).status === 0 ? false : 'needs nft (nftables)';
}

export interface MachineOptions {
  /** Without: only link-local IPv6. */
  readonly ipv4?: string;
  /** False: no IPv6 at all. */
  readonly hasIpv6?: boolean;
}

let lans = 0;

export class Lan implements Disposable {
  readonly #prefix = `rmtx-${process.pid}-${(lans += 1)}`;
  readonly #machines: Machine[] = [];
  readonly #switch = `${this.#prefix}-switch`;

  constructor() {
    ip('netns', 'add', this.#switch);
    ip('-n', this.#switch, 'link', 'add', 'br0', 'type', 'bridge');
    ip('-n', this.#switch, 'link', 'set', 'br0', 'up');
  }

  machine(options: MachineOptions = {}): Machine {
    const number = this.#machines.length + 1;
    const machine = new Machine(`${this.#prefix}-${number}`);
    this.#machines.push(machine);
    const port = `port${number}`;
    // An address that is still being checked for twins cannot be sent from: a second for nothing.
    machine.run('sh', '-c', 'echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad');
    if (options.hasIpv6 === false)
      machine.run('sh', '-c', 'echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6');
    const ends = ['link', 'add', port, 'type', 'veth', 'peer', 'name', 'eth0'];
    ip('-n', this.#switch, ...ends, 'netns', machine.namespace);
    ip('-n', this.#switch, 'link', 'set', port, 'master', 'br0', 'up');
    machine.ip('link', 'set', 'lo', 'up');
    machine.ip('link', 'set', 'eth0', 'up');
    if (options.ipv4 !== undefined) machine.ip('addr', 'add', `${options.ipv4}/24`, 'dev', 'eth0');
    return machine;
  }

  [Symbol.dispose](): void {
    for (const machine of this.#machines) ip('netns', 'del', machine.namespace);
    ip('netns', 'del', this.#switch);
  }
}

export class Machine {
  readonly namespace: string;

  constructor(namespace: string) {
    this.namespace = namespace;
    ip('netns', 'add', namespace);
  }

  /** What stands before a command line that is to run there. */
  get wrap(): string[] {
    return ['ip', 'netns', 'exec', this.namespace];
  }

  run(...command: readonly string[]): string {
    const [file = '', ...args] = [...this.wrap, ...command];
    return execFileSync(file, args, { encoding: 'utf8' });
  }

  start(...command: readonly string[]): ChildProcess {
    const [file = '', ...args] = [...this.wrap, ...command];
    return spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  }

  ip(...args: readonly string[]): void {
    ip('-n', this.namespace, ...args);
  }

  /** As a firewall does that lets nothing in: UDP to these ports does not arrive. */
  dropUdp(...ports: readonly number[]): void {
    this.#drop('udp', ports);
  }

  dropTcp(...ports: readonly number[]): void {
    this.#drop('tcp', ports);
  }

  #drop(protocol: 'tcp' | 'udp', ports: readonly number[]): void {
    this.run(
      'nft',
      `add table inet wall; add chain inet wall in { type filter hook input priority 0; }; add rule inet wall in ${protocol} dport { ${ports.join(', ')} } drop`,
    );
  }
}

function ip(...args: readonly string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'inherit'] });
}
