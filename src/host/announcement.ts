/** How a host lets itself be found: what it tells the network of itself, while it serves. */
import os from 'node:os';
import type { CallBackRequest } from '../discovery/call-desk.js';
import { announcedName } from '../discovery/packets.js';
import type { HostFacts } from '../discovery/packets.js';
import { Responder } from '../discovery/responder.js';
import { parseAddress } from '../transport/address.js';
import { fingerprintId } from '../trust/fingerprint.js';
import type { Fingerprint } from '../trust/fingerprint.js';

export interface AnnouncedHost {
  /** Only clients that look for this service hear of it. */
  readonly service: string;
  readonly name: string;
  readonly fingerprint: Fingerprint;
  /** Where it listens, as `HOST:PORT`. */
  readonly address: string;
  readonly isPairingOpen: () => boolean;
  /** Somebody wants to be dialled. */
  readonly onCallBack: (request: CallBackRequest) => void;
}

/** Until it is disposed of. Networks that refuse to carry it are no failure: the host is reached by address. */
export function announceHost(host: AnnouncedHost): AsyncDisposable {
  const { host: listening, port } = parseAddress(host.address);
  const cores = os.availableParallelism();
  const known = {
    service: host.service,
    name: announcedName(host.name),
    port,
    identityPrefix: fingerprintId(host.fingerprint),
    os: process.platform,
    arch: process.arch,
    cores,
  };
  const facts = (): HostFacts => ({
    ...known,
    isPairingOpen: host.isPairingOpen(),
    loadPercent: loadPercent(cores),
  });
  return new Responder({ facts, listening, onCallBack: host.onCallBack });
}

/** Windows has no such number: Node says 0 there, which would look idle. */
function loadPercent(cores: number): number | undefined {
  if (process.platform === 'win32') return undefined;
  return Math.round(((os.loadavg()[0] ?? 0) / cores) * 100);
}
