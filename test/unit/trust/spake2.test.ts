import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { p256 } from '@noble/curves/nist.js';
import fc from 'fast-check';
import { isRmtxError } from '../../../src/errors.js';
import { SHARE_BYTES, Spake2Party, parseShare, reduceToScalar } from '../../../src/trust/spake2.js';
import type { Spake2Context, Spake2Role } from '../../../src/trust/spake2.js';

interface Vector {
  readonly A: string;
  readonly B: string;
  readonly w: string;
  readonly x: string;
  readonly y: string;
  readonly pA: string;
  readonly pB: string;
  readonly TT: string;
  readonly Ke: string;
  readonly confirmA: string;
  readonly confirmB: string;
}

const fixture = path.resolve(__dirname, '../../../../fixtures/spake2-p256-rfc9382.json');
const { vectors } = JSON.parse(readFileSync(fixture, 'utf8')) as { vectors: Vector[] };
const nothing: Spake2Context = {
  identityA: 'a',
  identityB: 'b',
  associatedData: Buffer.alloc(0),
};

function party(role: Spake2Role, secret: Uint8Array): Spake2Party {
  return new Spake2Party({ role, secret });
}

describe('RFC 9382 appendix B', () => {
  assert.equal(vectors.length, 4);
  for (const vector of vectors)
    test(`both roles derive every value for A=${vector.A} B=${vector.B}`, () => {
      const secret = Buffer.from(vector.w, 'hex');
      const a = new Spake2Party({ role: 'A', secret, ephemeral: BigInt(`0x${vector.x}`) });
      const b = new Spake2Party({ role: 'B', secret, ephemeral: BigInt(`0x${vector.y}`) });
      assert.equal(a.share.toString('hex'), vector.pA);
      assert.equal(b.share.toString('hex'), vector.pB);
      const context: Spake2Context = {
        identityA: vector.A,
        identityB: vector.B,
        associatedData: Buffer.alloc(0),
      };
      for (const keys of [
        a.finish(parseShare(b.share), context),
        b.finish(parseShare(a.share), context),
      ]) {
        assert.ok(keys);
        assert.equal(keys.transcript.toString('hex'), vector.TT);
        assert.equal(keys.sharedKey.toString('hex'), vector.Ke);
        assert.equal(keys.confirmationA.toString('hex'), vector.confirmA);
        assert.equal(keys.confirmationB.toString('hex'), vector.confirmB);
      }
    });
});

test('the two agree only with the same secret, names and associated data', () => {
  const secret = Buffer.alloc(32, 5);
  const other = Buffer.alloc(32, 6);
  const variants: [string, Buffer, Spake2Context][] = [
    ['nothing', secret, nothing],
    ['secret', other, nothing],
    ['identity A', secret, { ...nothing, identityA: 'c' }],
    ['identity B', secret, { ...nothing, identityB: 'c' }],
    ['associated data', secret, { ...nothing, associatedData: Buffer.from('x') }],
  ];
  for (const [what, secretOfB, contextOfB] of variants) {
    const a = party('A', secret);
    const b = party('B', secretOfB);
    const ofA = a.finish(parseShare(b.share), nothing);
    const ofB = b.finish(parseShare(a.share), contextOfB);
    assert.ok(ofA && ofB);
    assert.equal(ofA.confirmationA.equals(ofB.confirmationA), what === 'nothing', what);
    assert.equal(ofA.confirmationB.equals(ofB.confirmationB), what === 'nothing', what);
    assert.ok(!ofA.confirmationA.equals(ofA.confirmationB));
  }
});

describe('shares that are refused', () => {
  const good = party('A', Buffer.alloc(32, 5)).share;
  const withFirst = (byte: number): Buffer => Buffer.concat([Buffer.of(byte), good.subarray(1)]);
  const offCurve = Buffer.from(good);
  offCurve[SHARE_BYTES - 1] = (offCurve[SHARE_BYTES - 1] ?? 0) ^ 1;
  const fieldPrime = BigInt(
    '0xffffffff00000001000000000000000000000000ffffffffffffffffffffffff',
  ).toString(16);
  const refused: [string, Buffer][] = [
    ['the identity', Buffer.of(0)],
    ['the identity, padded', Buffer.alloc(SHARE_BYTES)],
    ['zero coordinates', Buffer.concat([Buffer.of(4), Buffer.alloc(64)])],
    ['off the curve', offCurve],
    ['nothing', Buffer.alloc(0)],
    ['one byte short', good.subarray(0, 64)],
    ['one byte long', Buffer.concat([good, Buffer.of(0)])],
    ['compressed', Buffer.from(p256.Point.BASE.toBytes(true))],
    ['hybrid form 6', withFirst(6)],
    ['hybrid form 7', withFirst(7)],
    ['coordinates not below the prime', Buffer.from(`04${fieldPrime}${fieldPrime}`, 'hex')],
  ];
  for (const [what, bytes] of refused)
    test(what, () => {
      assert.throws(() => parseShare(bytes), { code: 'ERR_RMTX_PAIRING_FAILED' });
    });

  test('whatever the bytes, only by an RmtxError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), fc.boolean(), (bytes, isTagged) => {
        const share = isTagged ? Buffer.concat([Buffer.of(4), bytes]) : bytes;
        try {
          parseShare(share);
        } catch (error) {
          assert.ok(isRmtxError(error));
        }
      }),
    );
  });
});

test('a peer that sends w*M or w*N and nothing else brings about no keys', () => {
  const secret = Buffer.alloc(32, 5);
  const w = BigInt(`0x${secret.toString('hex')}`);
  const M = p256.Point.fromHex(
    '02886e2f97ace46e55ba9dd7242579f2993b64e16ef3dcab95afd497333d8fa12f',
  );
  const N = p256.Point.fromHex(
    '03d8bbd6c639c62937b04d997f38c3770719c629d7014d49a24b4f98baa1292b49',
  );
  const toHost = parseShare(M.multiply(w).toBytes(false));
  assert.equal(party('B', secret).finish(toHost, nothing), undefined);
  const toClient = parseShare(N.multiply(w).toBytes(false));
  assert.equal(party('A', secret).finish(toClient, nothing), undefined);
});

test('one run finishes once, because its scalar must not be used twice', () => {
  const a = party('A', Buffer.alloc(32, 5));
  const peer = parseShare(party('B', Buffer.alloc(32, 5)).share);
  a.finish(peer, nothing);
  assert.throws(() => a.finish(peer, nothing), /finishes once/);
});

test('every run has a share of its own', () => {
  const secret = Buffer.alloc(32, 5);
  assert.ok(!party('A', secret).share.equals(party('A', secret).share));
});

test('a wide number is reduced modulo the order', () => {
  const order = p256.Point.Fn.ORDER;
  const wide = Buffer.from((order * 2n ** 100n + 77n).toString(16).padStart(96, '0'), 'hex');
  assert.equal(BigInt(`0x${reduceToScalar(wide).toString('hex')}`), 77n);
  assert.throws(() => reduceToScalar(Buffer.alloc(32)));
});
