/**
 * Issues the self-signed certificate that carries our key through TLS. Nobody ever verifies its
 * signature, names or dates: the pin is the key's fingerprint. It only has to be a certificate that
 * every TLS library accepts. Node cannot issue one and node-forge knows no elliptic curves, so forge's
 * DER builder makes the structure (RFC 5280 §4.1) and node:crypto signs it.
 */
import { createPublicKey, randomBytes, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import type * as forgeModule from 'node-forge';
import type { asn1 } from 'node-forge';

type Forge = typeof forgeModule;

const COMMON_NAME = 'rmtx';
/** A clock that is wrong must not break pairing. The end is RFC 5280's "no expiration" (§4.1.2.5). */
const NOT_BEFORE = '000101000000Z';
const NOT_AFTER = '99991231235959Z';
/** 127 random bits: a serial is a positive integer of at most 20 octets (RFC 5280 §4.1.2.2). */
const SERIAL_BYTES = 16;

const OID = {
  commonName: '2.5.4.3',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  basicConstraints: '2.5.29.19',
  keyUsage: '2.5.29.15',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
} as const;

/** A certificate over this P-256 private key, as PEM. Two calls differ in serial and signature only. */
export function issueCertificate(privateKey: KeyObject): string {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- 29 ms, needed once in a machine's life
  const forge = require('node-forge') as Forge;
  const der = new DerBuilder(forge);
  const spki = createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
  const tbs = certificateBody(der, spki);
  const signature = sign('sha256', der.encode(tbs), privateKey);
  const certificate = der.encode(
    der.sequence([tbs, signatureAlgorithm(der), der.bitString(signature)]),
  );
  const lines = certificate.toString('base64').match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
}

/** TBSCertificate, RFC 5280 §4.1. */
function certificateBody(der: DerBuilder, spki: Buffer): asn1.Asn1 {
  const name = der.sequence([
    der.set([der.sequence([der.oid(OID.commonName), der.utf8(COMMON_NAME)])]),
  ]);
  const serial = randomBytes(SERIAL_BYTES);
  // First bit 0: positive. Second bit 1: never zero, and minimal as DER wants it.
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
  return der.sequence([
    der.explicit(0, der.integer(Buffer.of(2))), // v3
    der.integer(serial),
    signatureAlgorithm(der),
    name,
    der.sequence([der.utcTime(NOT_BEFORE), der.generalizedTime(NOT_AFTER)]),
    name,
    der.encoded(spki),
    der.explicit(3, extensions(der)),
  ]);
}

/** No parameters with ECDSA, not even NULL (RFC 5758 §3.2). */
function signatureAlgorithm(der: DerBuilder): asn1.Asn1 {
  return der.sequence([der.oid(OID.ecdsaWithSha256)]);
}

/** An end entity that signs handshakes, as a server and as a client. */
function extensions(der: DerBuilder): asn1.Asn1 {
  const extension = (oid: string, value: asn1.Asn1, isCritical: boolean): asn1.Asn1 =>
    der.sequence([
      der.oid(oid),
      ...(isCritical ? [der.true()] : []),
      der.octets(der.encode(value)),
    ]);
  const digitalSignature = der.bitString(Buffer.of(0x80), 7);
  const purposes = der.sequence([der.oid(OID.serverAuth), der.oid(OID.clientAuth)]);
  return der.sequence([
    extension(OID.basicConstraints, der.sequence([]), true),
    extension(OID.keyUsage, digitalSignature, true),
    extension(OID.extendedKeyUsage, purposes, false),
  ]);
}

/** forge's ASN.1 objects with Buffers in and out; forge itself works on binary strings. */
class DerBuilder {
  readonly #forge: Forge;

  constructor(forge: Forge) {
    this.#forge = forge;
  }

  encode(value: asn1.Asn1): Buffer {
    return Buffer.from(this.#forge.asn1.toDer(value).getBytes(), 'latin1');
  }

  /** What is DER already. */
  encoded(bytes: Buffer): asn1.Asn1 {
    return this.#forge.asn1.fromDer(bytes.toString('latin1'));
  }

  sequence(items: asn1.Asn1[]): asn1.Asn1 {
    return this.#constructed('SEQUENCE', items);
  }

  set(items: asn1.Asn1[]): asn1.Asn1 {
    return this.#constructed('SET', items);
  }

  explicit(tag: number, item: asn1.Asn1): asn1.Asn1 {
    const { asn1 } = this.#forge;
    // eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment -- the types know universal tags only; a context-specific one is any number
    return asn1.create(asn1.Class.CONTEXT_SPECIFIC, tag, true, [item]);
  }

  oid(text: string): asn1.Asn1 {
    return this.#primitive('OID', this.#forge.asn1.oidToDer(text).getBytes());
  }

  integer(bytes: Buffer): asn1.Asn1 {
    return this.#primitive('INTEGER', bytes.toString('latin1'));
  }

  true(): asn1.Asn1 {
    return this.#primitive('BOOLEAN', '\u00ff');
  }

  octets(bytes: Buffer): asn1.Asn1 {
    return this.#primitive('OCTETSTRING', bytes.toString('latin1'));
  }

  bitString(bytes: Buffer, unusedBits = 0): asn1.Asn1 {
    return this.#primitive(
      'BITSTRING',
      Buffer.concat([Buffer.of(unusedBits), bytes]).toString('latin1'),
    );
  }

  utf8(text: string): asn1.Asn1 {
    return this.#primitive('UTF8', Buffer.from(text).toString('latin1'));
  }

  utcTime(text: string): asn1.Asn1 {
    return this.#primitive('UTCTIME', text);
  }

  generalizedTime(text: string): asn1.Asn1 {
    return this.#primitive('GENERALIZEDTIME', text);
  }

  #primitive(type: keyof typeof asn1.Type, value: string): asn1.Asn1 {
    const { asn1 } = this.#forge;
    return asn1.create(asn1.Class.UNIVERSAL, asn1.Type[type], false, value);
  }

  #constructed(type: keyof typeof asn1.Type, items: asn1.Asn1[]): asn1.Asn1 {
    const { asn1 } = this.#forge;
    return asn1.create(asn1.Class.UNIVERSAL, asn1.Type[type], true, items);
  }
}
