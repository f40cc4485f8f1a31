/**
 * What pairing leaves on either side, written by the functions that pairing writes it with. A pairing costs
 * half a second of a processor, which tests of other things need not spend; test/e2e/trust.test.ts holds
 * what is written here against what a real one leaves.
 */
import path from 'node:path';
import { hostsDirectory, identityDirectory } from '../../src/client/home.js';
import { loadIdentity, loadOrCreateIdentity } from '../../src/trust/identity.js';
import type { Identity } from '../../src/trust/identity.js';
import { saveKnownHost } from '../../src/trust/known-hosts.js';
import { TrustStore } from '../../src/trust/trust-store.js';

/** A host whose identity is made already: one that runs, or has run. */
export interface PairableHost {
  readonly name: string;
  readonly stateDirectory: string;
}

/** `home` is the client's `HOME`, and the address is where it met the host. */
export function leavePaired(home: string, host: PairableHost, address: string): void {
  const client = { directory: path.join(home, '.rmtx') };
  const identity = loadOrCreateIdentity(identityDirectory(client));
  const { fingerprint } =
    loadIdentity(path.join(host.stateDirectory, 'identity')) ?? notThere(host);
  trustClient(host.stateDirectory, identity);
  saveKnownHost(hostsDirectory(client), { fingerprint, hostName: host.name, address });
}

/** The host's side alone: a host that runs asks its trust store on every connection. */
export function trustClient(stateDirectory: string, { fingerprint }: Identity): void {
  const trust = new TrustStore(path.join(stateDirectory, 'clients'), { log: () => undefined });
  trust.add({ fingerprint, label: 'somebody@laptop', role: 'exec', pairedFrom: '127.0.0.1' });
}

function notThere({ stateDirectory }: PairableHost): never {
  throw new Error(`${stateDirectory} has no identity yet`);
}
