/** How a host lets itself be found: what it tells the network of itself, while it serves. */
import { isIP } from 'node:net';
import os from 'node:os';
import type { CallBackRequest } from '../discovery/call-desk.js';
import { DISCOVERY_PORT, announcedName } from '../discovery/packets.js';
import type { HostFacts } from '../discovery/packets.js';
import { Responder } from '../discovery/responder.js';
import { parseAddress } from '../transport/address.js';
import { fingerprintId } from '../trust/fingerprint.js';
import type { Fingerprint } from '../trust/fingerprint.js';
import { DialBack } from './dial-back.js';
import type { DialBackOptions } from './dial-back.js';
import type { PairingService } from './pairing-service.js';

export interface AnnouncedHost extends Pick<DialBackOptions, 'trust' | 'serve' | 'log'> {
  /** Only clients that look for this service hear of it. */
  readonly service: string;
  readonly name: string;
  readonly fingerprint: Fingerprint;
  /** Where it listens, as `HOST:PORT`. */
  readonly address: string;
  readonly pairing: Pick<PairingService, 'isOpen' | 'openUntilMs'>;
}

/** Lets it be found, and called by who cannot reach it, until it is disposed of. Networks that refuse to carry it are no failure: the host is reached by address. */
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
    isPairingOpen: host.pairing.isOpen,
    loadPercent: loadPercent(cores),
  });
  const dialBack = new DialBack({
    ...host,
    pairingUntilMs: () => host.pairing.openUntilMs,
    localAddress: isIP(listening) === 0 || isEverywhere(listening) ? undefined : listening,
  });
  const onCallBack = (request: CallBackRequest): void => dialBack.take(request);
  const onTaken = (): void =>
    host.log(
      `another program has UDP ${DISCOVERY_PORT} for itself: who looks for hosts may not find this one (rmtx init --host ADDR does), and it cannot be asked to dial back`,
    );
  const responder = new Responder({ facts, listening, onCallBack, onTaken });
  return {
    [Symbol.asyncDispose]: async () => {
      dialBack[Symbol.dispose]();
      await responder[Symbol.asyncDispose]();
    },
  };
}

/** Windows has no such number: Node says 0 there, which would look idle. */
function loadPercent(cores: number): number | undefined {
  if (process.platform === 'win32') return undefined;
  return Math.round(((os.loadavg()[0] ?? 0) / cores) * 100);
}

function isEverywhere(listening: string): boolean {
  return listening === '::' || listening === '0.0.0.0';
}
