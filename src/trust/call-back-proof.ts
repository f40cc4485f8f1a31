/**
 * How a client shows that it is the one who asks a host to dial it: a signature over everything that the
 * host acts on. The client's own address is part of it, as the client sees it: whoever passes the request on from
 * another address does not get the host to dial that one.
 */
import { createHash, createPrivateKey, createPublicKey, sign, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { fingerprintBytes } from './fingerprint.js';
import type { Fingerprint } from './fingerprint.js';
import type { Identity } from './identity.js';

export interface CallBackTerms {
  readonly host: Fingerprint;
  /** The client's, as an IP literal; a zone does not count, each side has its own. */
  readonly address: string;
  readonly port: number;
  /** What the host gave, and what it gave it for. */
  readonly cookie: Buffer;
  readonly nonce: Buffer;
}

/** A signature by any identity for anything else never begins with this. */
const LABEL = 'rmtx call-back 1\0';

export function proveCallBack(
  { keyPem, fingerprint }: Identity,
  terms: CallBackTerms,
): { readonly spki: Buffer; readonly signature: Buffer } {
  const key = createPrivateKey(keyPem);
  return {
    spki: createPublicKey(key).export({ type: 'spki', format: 'der' }),
    signature: sign('sha256', transcript(fingerprint, terms), { key, dsaEncoding: 'ieee-p1363' }),
  };
}

/** Whose key this is, or would be: no look at the bytes, only at their digest. */
export function fingerprintOfSpki(spki: Uint8Array): Fingerprint {
  return `sha256:${createHash('sha256').update(spki).digest('hex')}` as Fingerprint;
}

/** Whether the owner of this key agreed to these terms. Never throws. */
export function isCallBackProven(
  { spki, signature }: { readonly spki: Buffer; readonly signature: Buffer },
  terms: CallBackTerms,
): boolean {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: spki, type: 'spki', format: 'der' });
  } catch {
    // Not the bytes of a key.
    return false;
  }
  if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') return false;
  const signed = transcript(fingerprintOfSpki(spki), terms);
  return verify('sha256', signed, { key, dsaEncoding: 'ieee-p1363' }, signature);
}

/** All but the last are of fixed length. */
function transcript(client: Fingerprint, terms: CallBackTerms): Buffer {
  const port = Buffer.alloc(2);
  port.writeUInt16BE(terms.port);
  return Buffer.concat([
    Buffer.from(LABEL),
    fingerprintBytes(terms.host),
    fingerprintBytes(client),
    terms.cookie,
    terms.nonce,
    port,
    Buffer.from(terms.address.split('%')[0] ?? ''),
  ]);
}
