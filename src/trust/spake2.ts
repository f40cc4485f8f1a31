/**
 * SPAKE2, RFC 9382, ciphersuite SPAKE2-P256-SHA256-HKDF-HMAC (§6): two parties that share a short
 * secret agree on keys, and somebody in between can test one guess for each run and nothing offline.
 *
 * Points come from @noble/curves, everything else from node:crypto. Arithmetic on JavaScript bigints
 * is not strictly constant in time. That is accepted here: a pairing code lives for minutes, is used
 * once, and each run draws a fresh secret scalar, so there is nothing to measure twice.
 */
import { createHash, createHmac, hkdfSync, randomBytes } from 'node:crypto';
import { p256 } from '@noble/curves/nist.js';
import { RmtxError } from '../errors.js';

const Point = p256.Point;
type CurvePoint = InstanceType<typeof Point>;

/** The order of the group (called p in the RFC, n elsewhere). The cofactor h of P-256 is 1. */
const GROUP_ORDER = Point.Fn.ORDER;
/** RFC 9382 §6. Nobody knows their discrete logarithms; they are hashed from public seeds. */
const M = Point.fromHex('02886e2f97ace46e55ba9dd7242579f2993b64e16ef3dcab95afd497333d8fa12f');
const N = Point.fromHex('03d8bbd6c639c62937b04d997f38c3770719c629d7014d49a24b4f98baa1292b49');

export const SCALAR_BYTES = 32;
/** 0x04, x, y: an uncompressed point of SEC 1 §2.3.3, the only form in use here. */
export const SHARE_BYTES = 65;
const UNCOMPRESSED = 0x04;
/** §4: Ke, Ka and the two confirmation keys are halves of 32 bytes. */
const KEY_BYTES = 16;
/**
 * 128 bits more than the order has, so that the remainder is uniform to 2^-128; the RFC asks for 64 bits
 * more (§3.2).
 */
export const WIDE_SCALAR_BYTES = 48;

/** A: the one whose share is blinded with M and who speaks first. Here the client. */
export type Spake2Role = 'A' | 'B';

/** What both sides must agree on beside the secret, or the confirmations differ. */
export interface Spake2Context {
  readonly identityA: string;
  readonly identityB: string;
  /** Bound into the confirmation keys (§4). At most 900 bytes: HKDF's info in Node ends at 1024. */
  readonly associatedData: Uint8Array;
}

/** Everything §4 derives. */
export interface Spake2Keys {
  readonly transcript: Buffer;
  /** Ke: a shared secret for whoever wants one. */
  readonly sharedKey: Buffer;
  readonly confirmationA: Buffer;
  readonly confirmationB: Buffer;
}

/** A peer's share that is known to be a point of the group. */
export interface Spake2Share {
  readonly bytes: Buffer;
  readonly point: CurvePoint;
}

/**
 * Checks a share from the peer: exactly 65 bytes, uncompressed, on the curve, not the identity (which
 * has no such encoding). On P-256 that is membership of the group, which §7 demands. Throws
 * PAIRING_FAILED. The answer does not depend on our secret.
 */
export function parseShare(bytes: Uint8Array): Spake2Share {
  if (bytes.length !== SHARE_BYTES || bytes[0] !== UNCOMPRESSED)
    throw badShare(`it is no uncompressed point of ${SHARE_BYTES} bytes`);
  try {
    const point = Point.fromBytes(bytes);
    point.assertValidity();
    return { bytes: Buffer.from(bytes), point };
  } catch (cause) {
    throw badShare('it is not on the curve', cause);
  }
}

/** Reduces {@link WIDE_SCALAR_BYTES} uniform bytes to a scalar, 32 bytes big-endian. */
export function reduceToScalar(wide: Uint8Array): Buffer {
  if (wide.length !== WIDE_SCALAR_BYTES)
    throw new Error(`expected ${WIDE_SCALAR_BYTES} bytes, got ${wide.length}`);
  return scalarBytes(bytesToNumber(wide) % GROUP_ORDER);
}

export interface Spake2Start {
  readonly role: Spake2Role;
  /** w, the secret both sides derived from the code: {@link SCALAR_BYTES} bytes. */
  readonly secret: Uint8Array;
  /** x or y. Only the RFC's test vectors set it: one that is used twice gives the code away (§7). */
  readonly ephemeral?: bigint;
}

/** One side of one run. */
export class Spake2Party {
  /** pA or pB, to send to the peer. */
  readonly share: Buffer;
  readonly #role: Spake2Role;
  readonly #w: bigint;
  #ephemeral: bigint | undefined;

  /** §3.3: pA = x*P + w*M, or pB = y*P + w*N. */
  constructor(start: Spake2Start) {
    if (start.secret.length !== SCALAR_BYTES) throw new Error('the secret must be 32 bytes');
    this.#role = start.role;
    this.#w = bytesToNumber(start.secret);
    if (this.#w === 0n || this.#w >= GROUP_ORDER) throw new Error('the secret is not a scalar');
    this.#ephemeral = start.ephemeral ?? randomScalar();
    const blind = (start.role === 'A' ? M : N).multiply(this.#w);
    this.share = encodePoint(Point.BASE.multiply(this.#ephemeral).add(blind));
  }

  /**
   * The keys of this run, to be called once: the ephemeral scalar is forgotten. Undefined where the
   * shared point is the identity, which a peer brings about exactly by guessing w and sending w*M or
   * w*N. It must be treated as a wrong confirmation, no sooner and no differently: a host that noticed it
   * while reading the share would tell right guesses from wrong ones without counting a try.
   */
  finish(peer: Spake2Share, context: Spake2Context): Spake2Keys | undefined {
    const ephemeral = this.#ephemeral;
    if (ephemeral === undefined) throw new Error('a SPAKE2 run finishes once');
    this.#ephemeral = undefined;
    // §3.3: K = h*x*(pB - w*N), or h*y*(pA - w*M).
    const peerBlind = (this.#role === 'A' ? N : M).multiply(this.#w);
    const unblinded = peer.point.subtract(peerBlind);
    if (unblinded.is0()) return undefined;
    const shared = encodePoint(unblinded.multiply(ephemeral));
    const [shareA, shareB] =
      this.#role === 'A' ? [this.share, peer.bytes] : [peer.bytes, this.share];
    const transcript = encodeTranscript([
      Buffer.from(context.identityA),
      Buffer.from(context.identityB),
      shareA,
      shareB,
      shared,
      scalarBytes(this.#w),
    ]);
    return deriveKeys(transcript, context.associatedData);
  }
}

/** §3.3: TT, each part after its length as eight bytes little-endian. */
function encodeTranscript(parts: readonly Buffer[]): Buffer {
  return Buffer.concat(
    parts.flatMap((part) => {
      const length = Buffer.alloc(8);
      length.writeBigUInt64LE(BigInt(part.length));
      return [length, part];
    }),
  );
}

/** §4: Ke || Ka = Hash(TT); KcA || KcB = KDF(Ka, nil, "ConfirmationKeys" || AAD); MAC(Kc, TT). */
function deriveKeys(transcript: Buffer, associatedData: Uint8Array): Spake2Keys {
  const hash = createHash('sha256').update(transcript).digest();
  const info = Buffer.concat([Buffer.from('ConfirmationKeys'), associatedData]);
  const authenticationKey = hash.subarray(KEY_BYTES);
  const confirmationKeys = Buffer.from(
    hkdfSync('sha256', authenticationKey, Buffer.alloc(0), info, 2 * KEY_BYTES),
  );
  const mac = (key: Buffer): Buffer => createHmac('sha256', key).update(transcript).digest();
  return {
    transcript,
    sharedKey: hash.subarray(0, KEY_BYTES),
    confirmationA: mac(confirmationKeys.subarray(0, KEY_BYTES)),
    confirmationB: mac(confirmationKeys.subarray(KEY_BYTES)),
  };
}

/** Uniform in 1 … order-1. */
function randomScalar(): bigint {
  return (bytesToNumber(randomBytes(WIDE_SCALAR_BYTES)) % (GROUP_ORDER - 1n)) + 1n;
}

function encodePoint(point: CurvePoint): Buffer {
  return Buffer.from(point.toBytes(false));
}

function bytesToNumber(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
}

function scalarBytes(scalar: bigint): Buffer {
  return Buffer.from(scalar.toString(16).padStart(2 * SCALAR_BYTES, '0'), 'hex');
}

function badShare(reason: string, cause?: unknown): RmtxError {
  return new RmtxError('ERR_RMTX_PAIRING_FAILED', `the peer sent an invalid share: ${reason}`, {
    cause,
  });
}
