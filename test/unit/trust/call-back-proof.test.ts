import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { describe, test } from 'node:test';
import {
  fingerprintOfSpki,
  isCallBackProven,
  proveCallBack,
} from '../../../src/trust/call-back-proof.js';
import type { CallBackTerms } from '../../../src/trust/call-back-proof.js';
import { fingerprintOfKey } from '../../../src/trust/fingerprint.js';
import type { Fingerprint } from '../../../src/trust/fingerprint.js';
import type { Identity } from '../../../src/trust/identity.js';

function newIdentity(namedCurve = 'prime256v1'): Identity {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve });
  const keyPem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  return { keyPem, certPem: '', fingerprint: fingerprintOfKey(publicKey) };
}

const client = newIdentity();
const terms: CallBackTerms = {
  host: `sha256:${'ab'.repeat(32)}` as Fingerprint,
  address: '10.0.0.4',
  port: 40_000,
  cookie: Buffer.alloc(16, 1),
  nonce: Buffer.alloc(8, 2),
};

describe('the proof of a client', () => {
  test('holds for what it signed, as each side writes the zone of its address', () => {
    const proof = proveCallBack(client, terms);
    assert.deepEqual([proof.spki.length, proof.signature.length], [91, 64]);
    assert.equal(fingerprintOfSpki(proof.spki), client.fingerprint);
    assert.equal(isCallBackProven(proof, terms), true);
    const linkLocal = proveCallBack(client, { ...terms, address: 'fe80::4%eth0' });
    assert.equal(isCallBackProven(linkLocal, { ...terms, address: 'fe80::4%wlan1' }), true);
  });

  test('holds for no other host, address, port, cookie or nonce', () => {
    const proof = proveCallBack(client, terms);
    const others: Partial<CallBackTerms>[] = [
      { host: `sha256:${'ac'.repeat(32)}` as Fingerprint },
      { address: '10.0.0.5' },
      { address: '10.0.0.44' },
      { port: 40_001 },
      { cookie: Buffer.alloc(16, 3) },
      { nonce: Buffer.alloc(8, 3) },
    ];
    for (const other of others)
      assert.equal(isCallBackProven(proof, { ...terms, ...other }), false, JSON.stringify(other));
  });

  test('holds with no other key, no other bytes, and nothing else that the key has signed', () => {
    const proof = proveCallBack(client, terms);
    const stranger = proveCallBack(newIdentity(), terms);
    assert.equal(isCallBackProven({ ...stranger, spki: proof.spki }, terms), false);
    assert.equal(isCallBackProven({ ...proof, spki: Buffer.alloc(91, 4) }, terms), false);
    for (let at = 0; at < 64; at++) {
      const signature = Buffer.from(proof.signature);
      signature[at] = (signature[at] ?? 0) ^ 1;
      assert.equal(isCallBackProven({ ...proof, signature }, terms), false);
    }
    const key = { key: client.keyPem, dsaEncoding: 'ieee-p1363' } as const;
    const signature = sign('sha256', terms.cookie, key);
    assert.equal(isCallBackProven({ ...proof, signature }, terms), false);
    const other = proveCallBack(newIdentity('secp256k1'), terms);
    assert.equal(isCallBackProven(other, terms), false, 'another curve');
  });
});
