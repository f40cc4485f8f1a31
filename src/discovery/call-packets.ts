/**
 * How a client asks a host whose TCP port it cannot reach to dial it, in three datagrams:
 *
 *     client: call       service
 *     host:   cookie     cookie, identity prefix: only who really is at that address reads it
 *     client: call-back  cookie, port, and who asks: its public key and a signature; neither where it is to pair
 *
 * All of a call carry the nonce of the client. A call is padded to more than its answer.
 */
import type { PeerId } from '../trust/fingerprint.js';
import { decodeFrame, encodeFrame, padded, textIn, u16, u16In } from './packet-frame.js';
import { SERVICE } from './packets.js';

export type CallPacket =
  | { readonly kind: 'call'; readonly nonce: Buffer; readonly service: string }
  | { readonly kind: 'cookie'; readonly nonce: Buffer; readonly answer: CookieAnswer }
  | { readonly kind: 'call-back'; readonly nonce: Buffer; readonly wanted: WantedCallBack };

export interface CookieAnswer {
  readonly cookie: Buffer;
  /** Of the host's fingerprint. A hint: anybody may claim it. */
  readonly identityPrefix: PeerId;
}

export interface WantedCallBack {
  /** As the host gave it. */
  readonly cookie: Buffer;
  /** Where the client listens, at the address that the packet comes from. */
  readonly port: number;
  /** Undefined: a stranger who wants to pair. */
  readonly proof: CallBackProof | undefined;
}

export interface CallBackProof {
  /** Public key (SPKI, DER). Nothing of it was checked. */
  readonly spki: Buffer;
  readonly signature: Buffer;
}

export const CALL_BYTES = 128;
export const COOKIE_BYTES = 16;
/** Of a P-256 key, uncompressed; and of a signature by it, both numbers in full. */
const SPKI_BYTES = 91;
const SIGNATURE_BYTES = 64;
const IDENTITY_BYTES = 8;

const TAG = { service: 1, port: 3, identity: 4, cookie: 16, key: 17, signature: 18 } as const;

export function encodeCall(service: string, nonce: Uint8Array): Buffer {
  return padded(encodeFrame('call', nonce, [[TAG.service, Buffer.from(service)]]), CALL_BYTES);
}

export function encodeCookie(answer: CookieAnswer, nonce: Uint8Array): Buffer {
  return encodeFrame('cookie', nonce, [
    [TAG.cookie, answer.cookie],
    [TAG.identity, Buffer.from(answer.identityPrefix, 'hex')],
  ]);
}

export function encodeCallBack({ cookie, port, proof }: WantedCallBack, nonce: Uint8Array): Buffer {
  const fields: [number, Buffer][] = [
    [TAG.cookie, cookie],
    [TAG.port, u16(port)],
  ];
  if (proof !== undefined) fields.push([TAG.key, proof.spki], [TAG.signature, proof.signature]);
  return encodeFrame('call-back', nonce, fields);
}

/** Undefined for whatever is not one of these, whole and well-formed. Never throws. */
export function decodeCallPacket(bytes: Buffer): CallPacket | undefined {
  const frame = decodeFrame(bytes);
  if (frame === undefined) return undefined;
  const { kind, nonce, fields } = frame;
  if (kind === 'call') {
    const service = textIn(frame, TAG.service, SERVICE);
    return service === undefined ? undefined : { kind, nonce, service };
  }
  const cookie = fields.get(TAG.cookie);
  if (cookie?.length !== COOKIE_BYTES) return undefined;
  if (kind === 'cookie') {
    const identity = fields.get(TAG.identity);
    if (identity?.length !== IDENTITY_BYTES) return undefined;
    // 16 lower-case hex digits, as fingerprintId makes them.
    const identityPrefix = identity.toString('hex') as PeerId;
    return { kind, nonce, answer: { cookie, identityPrefix } };
  }
  if (kind !== 'call-back') return undefined;
  const port = u16In(frame, TAG.port);
  const spki = fields.get(TAG.key);
  const signature = fields.get(TAG.signature);
  if (port === undefined || port === 0) return undefined;
  // Half a proof is not the question of a stranger.
  if (spki === undefined && signature === undefined)
    return { kind, nonce, wanted: { cookie, port, proof: undefined } };
  if (spki?.length !== SPKI_BYTES || signature?.length !== SIGNATURE_BYTES) return undefined;
  return { kind, nonce, wanted: { cookie, port, proof: { spki, signature } } };
}
