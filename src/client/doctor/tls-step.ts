import type { Duplex } from 'node:stream';
import { isRmtxError, systemErrorCode } from '../../errors.js';
import { ALPN_CONTROL, ALPN_RUN } from '../../protocol/messages.js';
import { formatAddress } from '../../transport/address.js';
import type { Address } from '../../transport/address.js';
import { secureAsClient } from '../../transport/secure-stream.js';
import type { Fingerprint } from '../../trust/fingerprint.js';
import type { Identity } from '../../trust/identity.js';
import { printable } from '../../util/printable.js';
import { failed, ok } from './verdict.js';
import type { Finding, Trouble } from './verdict.js';

/** What answers the handshake. `language`: which of ours it took. */
export type Handshake =
  | {
      readonly kind: 'secure';
      readonly fingerprint: Fingerprint;
      readonly language: typeof ALPN_RUN | typeof ALPN_CONTROL;
    }
  | { readonly kind: 'no-rmtx'; readonly nature: Nature; readonly errorCode: string };

/**
 * `plain`: no TLS. `other-tls`: TLS, but none of our languages. `silent`: nothing came. `cut`: the
 * connection was closed or reset.
 */
type Nature = 'plain' | 'other-tls' | 'silent' | 'cut';

export interface HandshakeOptions {
  readonly address: Address;
  readonly identity: Identity;
  /** For the first attempt. */
  readonly stream: Duplex;
  /** For another one: a server that knows another language only. Undefined where that fails. */
  readonly dialAgain: () => Promise<Duplex | undefined>;
  readonly timeoutMs: number;
  /** The keys of the host, where they are known. */
  readonly pins: readonly Fingerprint[] | undefined;
}

/**
 * Asks for the language of runs, which only rmtx knows; a server that speaks TLS and not that is asked for
 * HTTP, the control API's: a host of another protocol version is told by its key then. Nothing is sent after the
 * handshake. Never rejects.
 */
export async function shakeHands(options: HandshakeOptions): Promise<Handshake> {
  const { stream, dialAgain, pins } = options;
  const first = await attempt(stream, ALPN_RUN, options);
  if (first.kind === 'secure' || first.nature !== 'other-tls') return first;
  const again = await dialAgain();
  if (again === undefined) return first;
  const second = await attempt(again, ALPN_CONTROL, options);
  return second.kind === 'secure' && pins?.includes(second.fingerprint) === true ? second : first;
}

async function attempt(
  stream: Duplex,
  language: typeof ALPN_RUN | typeof ALPN_CONTROL,
  { address, identity, timeoutMs }: HandshakeOptions,
): Promise<Handshake> {
  try {
    const { socket, peerFingerprint } = await secureAsClient({
      stream,
      identity,
      alpn: language,
      // Whose key it is, is the next step's question.
      pins: undefined,
      timeoutMs,
      description: formatAddress(address),
    });
    socket.destroy();
    return { kind: 'secure', fingerprint: peerFingerprint, language };
  } catch (error) {
    return refusal(error);
  } finally {
    stream.destroy();
  }
}

function refusal(error: unknown): Handshake {
  if (!isRmtxError(error)) throw error;
  const errorCode = systemErrorCode(error.cause) ?? '';
  if (error.code === 'ERR_RMTX_VERSION_MISMATCH')
    return { kind: 'no-rmtx', nature: 'other-tls', errorCode };
  return { kind: 'no-rmtx', nature: natureOf(error.message, errorCode), errorCode };
}

function natureOf(message: string, errorCode: string): Nature {
  if (/WRONG_VERSION_NUMBER|PACKET_LENGTH|HTTP_REQUEST|UNKNOWN_PROTOCOL|RECORD/.test(errorCode))
    return 'plain';
  if (errorCode.startsWith('ERR_SSL')) return 'other-tls';
  return message.includes('in time') ? 'silent' : 'cut';
}

/** Whether what listens there is an rmtx host. */
export function judgeTls(facts: {
  readonly address: Address;
  readonly handshake: Handshake;
  readonly isDialedBack: boolean;
}): Finding {
  const { address, handshake, isDialedBack } = facts;
  if (handshake.kind === 'secure')
    return ok(
      `TLS 1.3 with ${printable(formatAddress(address))}${isDialedBack ? ', which dialled back' : ''}`,
    );
  const where = printable(formatAddress(address));
  const trouble: Trouble = {
    code: 'another-service',
    cause: `another service has port ${address.port} there, and no rmtx host`,
    cure: [
      'on the host, see where rmtx listens: rmtx host status',
      'then, with that port: rmtx doctor --host ADDR:PORT',
    ],
  };
  switch (handshake.nature) {
    case 'plain':
      return failed(`${where} answers, but not with TLS`, trouble);
    case 'other-tls':
      return failed(`${where} speaks TLS, but not rmtx`, trouble);
    case 'silent':
      return failed(`${where} takes the connection and says nothing`, {
        ...trouble,
        cause: `another service has port ${address.port} there, or the host hangs, or is under too much load to answer`,
      });
    case 'cut':
      return failed(`${where} closes the connection during the TLS handshake`, {
        ...trouble,
        code: 'connection-cut',
        cause: `another service has port ${address.port} there, or a firewall or proxy in between cuts connections that it does not know`,
      });
  }
}
