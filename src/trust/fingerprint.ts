/**
 * Who a peer is: the SHA-256 of its public key (SubjectPublicKeyInfo, DER). Of the key and not of the
 * certificate, so that a certificate can be issued again without anybody pairing again. For people and
 * for pins; content has digests (store/digest.ts).
 */
import type * as Crypto from 'node:crypto';
import type { KeyObject, X509Certificate } from 'node:crypto';
import { RmtxError } from '../errors.js';
import { printable } from '../util/printable.js';

/** `sha256:` and 64 lower-case hex digits. */
export type Fingerprint = string & { readonly __brand: 'Fingerprint' };

/** A client's or host's short name in files and lists: see {@link fingerprintId}. */
export type PeerId = string & { readonly __brand: 'PeerId' };

const PREFIX = 'sha256:';
const PATTERN = /^sha256:[0-9a-f]{64}$/;
/**
 * 64 bits: what a peer leaves here is filed under its id, so nobody must be able to make a key with the
 * id of another. Short enough to paste.
 */
const ID_DIGITS = 16;
const SHORT_DIGITS = 16;

/** Loaded when a key is looked at: reading and comparing fingerprints is on the way to exec's first packet. */
const crypto = (): typeof Crypto => process.getBuiltinModule('node:crypto');

/**
 * The fingerprint of a certificate's key; undefined for a peer that showed no certificate. Throws
 * BAD_MESSAGE where the bytes are no certificate.
 */
export function fingerprintOfCertificate(certificate: X509Certificate | Uint8Array): Fingerprint;
export function fingerprintOfCertificate(
  certificate: X509Certificate | Uint8Array | undefined,
): Fingerprint | undefined;
export function fingerprintOfCertificate(
  certificate: X509Certificate | Uint8Array | undefined,
): Fingerprint | undefined {
  if (certificate === undefined) return undefined;
  const { X509Certificate: Parsed } = crypto();
  try {
    const parsed = certificate instanceof Parsed ? certificate : new Parsed(certificate);
    return fingerprintOfKey(parsed.publicKey);
  } catch (cause) {
    throw new RmtxError('ERR_RMTX_BAD_MESSAGE', 'the peer certificate cannot be read', { cause });
  }
}

export function fingerprintOfKey(publicKey: KeyObject): Fingerprint {
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  return (PREFIX + crypto().createHash('sha256').update(spki).digest('hex')) as Fingerprint;
}

/**
 * A fingerprint as a person typed or pasted it: any case, spaces and colons between the digits, with
 * or without `sha256:`. Throws BAD_ARGUMENT for anything else; a shortened one is never accepted.
 */
export function parseFingerprint(text: string): Fingerprint {
  const digits = text
    .trim()
    .toLowerCase()
    .replace(/^sha256\s*:/, '')
    .replace(/[\s:]+/g, '');
  const whole = PREFIX + digits;
  if (isFingerprint(whole)) return whole;
  throw new RmtxError(
    'ERR_RMTX_BAD_ARGUMENT',
    `not a fingerprint: ${printable(text.slice(0, 100))}`,
    {
      hint: 'it is sha256: and 64 hex digits, as rmtx host status prints it',
    },
  );
}

/** True for the exact form, as files and messages hold it. */
export function isFingerprint(value: unknown): value is Fingerprint {
  return typeof value === 'string' && PATTERN.test(value);
}

/** Compares without telling by its time how much of the two is equal. */
export function isSameFingerprint(a: Fingerprint, b: Fingerprint): boolean {
  return crypto().timingSafeEqual(fingerprintBytes(a), fingerprintBytes(b));
}

/** The 32 raw bytes. */
export function fingerprintBytes(fingerprint: Fingerprint): Buffer {
  return Buffer.from(fingerprint.slice(PREFIX.length), 'hex');
}

/** For tables and messages where the whole is too wide; says by its dots that it is not the whole. */
export function shortFingerprint(fingerprint: Fingerprint): string {
  return `${fingerprint.slice(0, PREFIX.length + SHORT_DIGITS)}…`;
}

/** The stable id of the peer with this key: what `revoke` and `forget` take, and its file's name. */
export function fingerprintId(fingerprint: Fingerprint): PeerId {
  return fingerprint.slice(PREFIX.length, PREFIX.length + ID_DIGITS) as PeerId;
}
