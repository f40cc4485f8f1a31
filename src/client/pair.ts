/** Pairing from the client's side: ask, get the code from a person, prove it, remember the host. */
import { RmtxError } from '../errors.js';
import { ALPN_PAIRING } from '../protocol/messages.js';
import { parseAddress } from '../transport/address.js';
import type { Address } from '../transport/address.js';
import { fingerprintId } from '../trust/fingerprint.js';
import type { Fingerprint, PeerId } from '../trust/fingerprint.js';
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
import type { DialAddressOptions, DialedHost } from './connect.js';
import { raceDials } from './dial-race.js';
import { addressesOf } from './discovered-addresses.js';
import { hostsDirectory, identityDirectory } from './home.js';
import type { ClientHome } from './home.js';

export interface PairRequest {
  readonly home: ClientHome;
  /** Where it is, best first; the first that answers as the right machine counts. */
  readonly addresses: readonly string[];
  /** An extra pin, known from elsewhere. */
  readonly fingerprint: Fingerprint | undefined;
  /** What the host that was chosen from a list says of its identity: another machine is not asked. */
  readonly identityPrefix?: PeerId | undefined;
  /** Of the host that is asked to dial back where its port cannot be reached; undefined: nobody is. */
  readonly callService: string | undefined;
  readonly onDialedBack?: (() => void) | undefined;
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
  const identity = loadOrCreateIdentity(identityDirectory(request.home));
  const dial = async (
    address: Address,
    how: Pick<DialAddressOptions, 'abortSignal' | 'isCalledAtOnce'>,
  ): Promise<DialedHost> => {
    const pins = request.fingerprint === undefined ? undefined : [request.fingerprint];
    const dialed = await dialAddress({
      address,
      identity,
      alpn: ALPN_PAIRING,
      pins,
      callService: request.callService,
      ...how,
    });
    if ([undefined, fingerprintId(dialed.peerFingerprint)].includes(request.identityPrefix))
      return dialed;
    dialed.socket.destroy();
    throw notTheChosen(dialed.address);
  };
  const given = request.addresses.map((address) => parseAddress(address));
  const first = await raceDials({
    addresses: () => addressesOf(given),
    dial: (address, abortSignal) => dial(address, { abortSignal }),
  });
  if (first.dialedBackTo !== undefined) request.onDialedBack?.();
  try {
    await askToPair(pairingChannel(first, identity), { label: request.label });
  } finally {
    first.socket.destroy();
  }
  const code = parsePairingCode(await request.askCode({ address: first.address }));
  const second = await dial(parseAddress(first.address), {
    isCalledAtOnce: first.dialedBackTo !== undefined,
  });
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
      dialedBackTo: second.dialedBackTo,
    });
    return { name: host.name, address: second.address, fingerprint: second.peerFingerprint };
  } finally {
    second.socket.destroy();
  }
}

function notTheChosen(address: string): RmtxError {
  return new RmtxError(
    'ERR_RMTX_FINGERPRINT_MISMATCH',
    `the machine at ${address} is not the host that was found there`,
    { hint: 'run it again; if it stays so, name the host with --host ADDR and --fingerprint' },
  );
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
