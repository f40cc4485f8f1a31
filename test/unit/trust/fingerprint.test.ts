import assert from 'node:assert/strict';
import { X509Certificate, createHash, createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { issueCertificate } from '../../../src/trust/certificate.js';
import {
  fingerprintBytes,
  fingerprintId,
  fingerprintOfCertificate,
  isFingerprint,
  isSameFingerprint,
  parseFingerprint,
  shortFingerprint,
} from '../../../src/trust/fingerprint.js';

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const hex = createHash('sha256')
  .update(publicKey.export({ type: 'spki', format: 'der' }))
  .digest('hex');

test('it is the hash of the public key, whichever certificate carries it', () => {
  const first = new X509Certificate(issueCertificate(privateKey));
  const second = new X509Certificate(issueCertificate(privateKey));
  assert.notEqual(first.serialNumber, second.serialNumber);
  for (const certificate of [first, second, first.raw, second.raw])
    assert.equal(fingerprintOfCertificate(certificate), `sha256:${hex}`);
  assert.equal(fingerprintOfCertificate(undefined), undefined);
});

test('bytes that are no certificate are refused', () => {
  assert.throws(() => fingerprintOfCertificate(Buffer.from('no')), {
    code: 'ERR_RMTX_BAD_MESSAGE',
  });
});

test('people may write it in any case, with spaces and colons, with or without the prefix', () => {
  const expected = `sha256:${hex}`;
  const pairs = hex.match(/../g) ?? [];
  for (const text of [
    expected,
    hex.toUpperCase(),
    ` SHA256:${pairs.join(':').toUpperCase()}\n`,
    `sha256: ${pairs.join(' ')}`,
  ])
    assert.equal(parseFingerprint(text), expected);
});

test('a shortened or overlong one is refused', () => {
  for (const text of ['', 'sha256:', hex.slice(0, 16), `${hex}0`, `md5:${hex}`, `sha256:${hex}g`])
    assert.throws(() => parseFingerprint(text), { code: 'ERR_RMTX_BAD_ARGUMENT' });
  assert.equal(isFingerprint(`sha256:${hex.toUpperCase()}`), false);
  assert.equal(isFingerprint(undefined), false);
});

test('forms of it', () => {
  const fingerprint = parseFingerprint(hex);
  assert.equal(fingerprintBytes(fingerprint).toString('hex'), hex);
  assert.equal(shortFingerprint(fingerprint), `sha256:${hex.slice(0, 16)}…`);
  assert.equal(fingerprintId(fingerprint), hex.slice(0, 16));
  assert.ok(isSameFingerprint(fingerprint, parseFingerprint(hex.toUpperCase())));
  assert.ok(!isSameFingerprint(fingerprint, parseFingerprint('0'.repeat(64))));
});

test('the certificate is a version 3 one over the key, signed by it, with no end in sight', () => {
  const pem = issueCertificate(
    createPrivateKey(privateKey.export({ type: 'pkcs8', format: 'pem' })),
  );
  const certificate = new X509Certificate(pem);
  assert.ok(certificate.verify(publicKey));
  assert.ok(certificate.checkPrivateKey(privateKey));
  assert.equal(certificate.subject, 'CN=rmtx');
  assert.equal(certificate.issuer, 'CN=rmtx');
  assert.equal(certificate.ca, false);
  assert.match(certificate.validTo, /9999/);
  assert.match(certificate.validFrom, /2000/);
  assert.match(certificate.serialNumber, /^[4-7][0-9A-F]{31}$/);
});
