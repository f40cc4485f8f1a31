/** Pairing from the client's side: ask, get the code from a person, prove it, remember the host. */
import { RmtxError } from '../errors.js';
import { ALPN_PAIRING } from '../protocol/messages.js';
import { parseAddress } from '../transport/address.js';
import type { Fingerprint } from '../trust/fingerprint.js';
import { loadOrCreateIdentity } from '../trust/identity.js';
import type { Identity } from '../trust/identity.js';
import { saveKnownHost } from '../trust/known-hosts.js';
import { parsePairingCode } from '../trust/pairing-code.js';
import {
  PAIRING_EXPORTER_BYTES,
  PAIRING_EXPORTER_LABEL,
  askToPair,
  pairAsClient,
} from '../trust/pairing-exchange.js';
import type { PairingChannel } from '../trust/pairing-exchange.js';
import { dialAddress } from './connect.js';
import type { DialedHost } from './connect.js';
import { hostsDirectory, identityDirectory } from './home.js';
import type { ClientHome } from './home.js';

export interface PairRequest {
  readonly home: ClientHome;
  readonly address: string;
  /** An extra pin, known from elsewhere. */
  readonly fingerprint: Fingerprint | undefined;
  readonly label: string;
  /** Called once the host has been reached; resolves with the code as typed. */
  readonly askCode: (host: { readonly address: string }) => Promise<string>;
}

export interface PairedHost {
  readonly name: string;
  readonly address: string;
  readonly fingerprint: Fingerprint;
}

/**
 * Pairs with the host at an address. The code is asked for between two connections, so that a person
 * may take their time; nothing is remembered unless the whole exchange succeeded on both sides.
 */
export async function pairWithHost(request: PairRequest): Promise<PairedHost> {
  const address = parseAddress(request.address);
  const identity = loadOrCreateIdentity(identityDirectory(request.home));
  const dial = () =>
    dialAddress({
      address,
      identity,
      alpn: ALPN_PAIRING,
      pins: request.fingerprint === undefined ? undefined : [request.fingerprint],
    });
  const first = await dial();
  try {
    await askToPair(pairingChannel(first, identity), { label: request.label });
  } finally {
    first.socket.destroy();
  }
  const code = parsePairingCode(await request.askCode({ address: first.address }));
  const second = await dial();
  try {
    if (second.peerFingerprint !== first.peerFingerprint)
      throw new RmtxError(
        'ERR_RMTX_FINGERPRINT_MISMATCH',
        `another machine answers at ${second.address} than before the code was asked for`,
        { hint: 'somebody may be in between; compare with rmtx host status on the host' },
      );
    const { hostName } = await pairAsClient(pairingChannel(second, identity), {
      code,
      label: request.label,
      wantedRole: 'exec',
    });
    const host = saveKnownHost(hostsDirectory(request.home), {
      hostName,
      fingerprint: second.peerFingerprint,
      address: second.address,
    });
    return { name: host.name, address: second.address, fingerprint: second.peerFingerprint };
  } finally {
    second.socket.destroy();
  }
}

/** What binds the exchange to this very connection. */
function pairingChannel(dialed: DialedHost, identity: Identity): PairingChannel {
  return {
    stream: dialed.socket,
    exporter: dialed.socket.exportKeyingMaterial(
      PAIRING_EXPORTER_BYTES,
      PAIRING_EXPORTER_LABEL,
      Buffer.alloc(0),
    ),
    clientFingerprint: identity.fingerprint,
    hostFingerprint: dialed.peerFingerprint,
  };
}
