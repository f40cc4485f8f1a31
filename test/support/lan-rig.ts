/** Hosts and clients on the machines of a network of their own. */
import path from 'node:path';
import { Lan } from './lan.js';
import type { Machine, MachineOptions } from './lan.js';
import { Rig } from './rig.js';
import type { Result, RigClient, RigHost, RigProject } from './rig.js';

/** A program of this folder that runs on such a machine. */
export function program(name: string): string {
  return path.resolve(__dirname, `${name}.js`);
}

export function hostOn(rig: Rig, machine: Machine, name: string): Promise<RigHost> {
  return rig.host({ name, wrap: machine.wrap, service: 'rmtx', args: ['--listen', ':33221'] });
}

/** `rmtx …` on a machine, in a folder that is no project yet. */
export async function rmtxOn(
  machine: Machine,
  client: RigClient,
  options: { readonly args: readonly string[]; readonly cwd?: string },
): Promise<Result & { cwd: string }> {
  const cwd = options.cwd ?? client.rig.newDirectory('folder');
  const running = client.start(options.args, { cwd, wrap: machine.wrap });
  return { ...(await running.ended), cwd };
}

export async function fingerprintOf(host: RigHost): Promise<string> {
  return (JSON.parse((await host.admin('status', '--json')).text) as { fingerprint: string })
    .fingerprint;
}

export interface LanScene extends AsyncDisposable {
  readonly rig: Rig;
  readonly lan: Lan;
  /** Where the host is. */
  readonly machine: Machine;
  readonly box: RigHost;
  readonly laptop: Machine;
  /** Its config names no host. */
  readonly project: RigProject;
}

/** A host and a paired client that know each other's only address. */
export async function lanScene(options: { readonly hasIpv4?: boolean } = {}): Promise<LanScene> {
  const rig = new Rig();
  const lan = new Lan();
  const address = (ipv4: string): MachineOptions =>
    options.hasIpv4 === false ? {} : { ipv4, hasIpv6: false };
  const machine = lan.machine(address('10.77.0.2'));
  const laptop = lan.machine(address('10.77.0.4'));
  const box = await hostOn(rig, machine, 'box');
  const client = rig.client();
  if (options.hasIpv4 === false) {
    // Only who looks for it knows where it is.
    const args = ['pair', '--code', await box.pairCode()];
    const paired = await rmtxOn(laptop, client, { args });
    if (paired.code !== 0) throw new Error(`pairing failed: ${paired.stderr}`);
  } else {
    client.befriend(box, '10.77.0.2:33221');
  }
  const project = client.project({ a: 'a' }, { host: box, config: { host: undefined } });
  return {
    rig,
    lan,
    machine,
    box,
    laptop,
    project,
    [Symbol.asyncDispose]: async () => {
      await rig[Symbol.asyncDispose]();
      lan[Symbol.dispose]();
    },
  };
}

export function execOn({ laptop, project }: LanScene, ...args: readonly string[]): Promise<Result> {
  return rmtxOn(laptop, project.client, { args: ['exec', ...args], cwd: project.root });
}
