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

/** Why no connection can be reset here; false where one can. */
export function noReset(): string | false {
  return spawnSync('ss', ['-V']).status === 0 ? false : 'needs ss (iproute2)';
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
  #cables = 0;
  readonly #switch = `${this.#prefix}-switch`;

  constructor() {
    ip('netns', 'add', this.#switch);
    ip('-n', this.#switch, 'link', 'add', 'br0', 'type', 'bridge');
    ip('-n', this.#switch, 'link', 'set', 'br0', 'up');
  }

  machine(options: MachineOptions = {}): Machine {
    const machine = new Machine(`${this.#prefix}-${this.#machines.length + 1}`);
    this.#machines.push(machine);
    // An address that is still being checked for twins cannot be sent from: a second for nothing.
    machine.run('sh', '-c', 'echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad');
    if (options.hasIpv6 === false)
      machine.run('sh', '-c', 'echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6');
    machine.ip('link', 'set', 'lo', 'up');
    this.connect(machine, { device: 'eth0', ...options });
    return machine;
  }

  /** A cable to this network, for a machine of another one, too. */
  connect(machine: Machine, { device, ipv4 }: { device: string; ipv4?: string }): Cable {
    this.#cables += 1;
    const port = `port${this.#cables}`;
    const ends = ['link', 'add', port, 'type', 'veth', 'peer', 'name', device];
    ip('-n', this.#switch, ...ends, 'netns', machine.namespace);
    const set = (...args: readonly string[]): void =>
      ip('-n', this.#switch, 'link', 'set', port, ...args);
    set('master', 'br0', 'up');
    machine.ip('link', 'set', device, 'up');
    if (ipv4 !== undefined) machine.ip('addr', 'add', `${ipv4}/24`, 'dev', device);
    const cable = { pull: () => set('down'), plugIn: () => set('up') };
    machine.cables.push(cable);
    return cable;
  }

  [Symbol.dispose](): void {
    for (const machine of this.#machines) ip('netns', 'del', machine.namespace);
    ip('netns', 'del', this.#switch);
  }
}

export interface Cable {
  readonly pull: () => void;
  readonly plugIn: () => void;
}

export class Machine {
  readonly namespace: string;
  readonly cables: Cable[] = [];

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

  /** The network gives it another address in place of all that it had. */
  moveTo(address: string, device = 'eth0'): void {
    this.ip('addr', 'flush', 'dev', device);
    this.ip('addr', 'add', address, 'dev', device);
  }

  /** No TCP comes in or goes out any more, and nobody is told. */
  cutTcp(): void {
    this.#trouble('input', 'drop');
    this.#trouble('output', 'drop');
  }

  /** As a firewall does that lets nobody in: no TCP connection from another machine begins, but others do. */
  refuseTcp(verdict: 'drop' | 'reject with tcp reset' = 'drop'): void {
    this.run(
      'nft',
      `add table inet trouble; add chain inet trouble input { type filter hook input priority 0; }; add rule inet trouble input iifname != lo tcp flags & (syn|ack) == syn ${verdict}`,
    );
  }

  /** Whatever comes in by TCP is answered with a reset. */
  resetTcp(): void {
    this.#trouble('input', 'reject with tcp reset');
  }

  #trouble(hook: string, verdict: string): void {
    this.run(
      'nft',
      `add table inet trouble; add chain inet trouble ${hook} { type filter hook ${hook} priority 0; }; add rule inet trouble ${hook} meta l4proto tcp ${verdict}`,
    );
  }

  /** After {@link cutTcp} or {@link resetTcp}: all is as before. */
  allow(): void {
    this.run('nft', 'delete table inet trouble');
  }

  /** Resets every TCP connection to this address, on this side only. */
  reset(address: string): void {
    this.run('ss', '--kill', '--ipv4', '--tcp', '--no-header', 'dst', address);
  }

  /** As any other machine that got an address would have it: nobody goes on asking the old one. */
  forgetNeighbours(): void {
    this.ip('neigh', 'flush', 'dev', 'eth0');
  }

  /** Counts what is sent to these UDP ports from now on; returns how to read it. */
  countSentUdp(...ports: readonly number[]): () => number {
    this.run(
      'nft',
      `add table inet tally; add chain inet tally out { type filter hook output priority 0; }; add rule inet tally out udp dport { ${ports.join(', ')} } counter`,
    );
    return () =>
      Number(/packets (\d+)/.exec(this.run('nft', 'list', 'chain', 'inet', 'tally', 'out'))?.[1]);
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
