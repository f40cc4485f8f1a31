import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { freeCores } from '../../../src/client/auto-host.js';
import { chooseOffer } from '../../../src/client/host-score.js';
import type { HostOffer } from '../../../src/client/host-score.js';

function offer(name: string, rest: Partial<HostOffer>): HostOffer {
  return { name, fingerprint: name, isWarm: false, freeCores: 0, rttMs: 1, ...rest };
}

const warm = (freeCpus: number, rttMs = 1): HostOffer =>
  offer('warm', { isWarm: true, freeCores: freeCpus, rttMs });
const cold = (freeCpus: number, rttMs = 1): HostOffer =>
  offer('cold', { freeCores: freeCpus, rttMs });
const named = (name: string, freeCpus: number, rttMs: number): HostOffer =>
  offer(name, { freeCores: freeCpus, rttMs });

test('the warm host wins unless it is clearly busier, else the least busy, the nearer, the first by name', () => {
  const cases: [string, HostOffer[], string | undefined][] = [
    ['nobody', [], undefined],
    ['the only one, however busy', [cold(0)], 'cold'],
    ['warm and as busy', [cold(4), warm(4)], 'warm'],
    ['warm and busier', [cold(4), warm(1)], 'warm'],
    ['warm with exactly a quarter of the other', [cold(2), warm(0.5)], 'warm'],
    ['warm with less than a quarter', [cold(4.1), warm(1)], 'cold'],
    ['warm without half a core', [cold(1), warm(0.4)], 'cold'],
    ['nobody has half a core', [cold(0.4), warm(0)], 'warm'],
    ['warm and far away', [cold(4, 0.1), warm(4, 80)], 'warm'],
    ['two are warm', [warm(2), { ...warm(4), name: 'other' }, cold(4)], 'other'],
    ['the least busy', [named('a', 2, 1), named('b', 8, 50)], 'b'],
    ['the nearer of two alike', [named('a', 4.1, 9), named('b', 4, 2)], 'b'],
    ['the first by name of two alike', [named('b', 4, 2), named('a', 4, 2)], 'a'],
  ];
  for (const [title, offers, expected] of cases)
    assert.equal(chooseOffer(offers)?.offer.name, expected, title);
});

const anyOffer: fc.Arbitrary<HostOffer> = fc.record({
  name: fc.constantFrom('a', 'b', 'c', 'd'),
  fingerprint: fc.string({ minLength: 1, maxLength: 4 }),
  isWarm: fc.boolean(),
  freeCores: fc.double({ min: 0, max: 64, noNaN: true }),
  rttMs: fc.double({ min: 0, max: 1000, noNaN: true }),
});
const anyOffers = fc.uniqueArray(anyOffer, {
  minLength: 1,
  maxLength: 6,
  selector: ({ fingerprint }) => fingerprint,
});

test('whatever the order in which hosts answer, the same one is taken, and it is one of them', () => {
  fc.assert(
    fc.property(
      anyOffers.chain((offers) =>
        fc.tuple(fc.constant(offers), fc.shuffledSubarray(offers, { minLength: offers.length })),
      ),
      ([offers, shuffled]) => {
        const chosen = chooseOffer(offers)?.offer;
        assert.ok(chosen && offers.includes(chosen));
        assert.equal(chooseOffer(shuffled)?.offer, chosen);
      },
    ),
  );
});

test('a cold host is taken beside a warm one only where it has far more to give', () => {
  fc.assert(
    fc.property(anyOffers, (offers) => {
      const chosen = chooseOffer(offers)?.offer;
      assert.ok(chosen);
      if (chosen.isWarm) return;
      for (const other of offers.filter(({ isWarm }) => isWarm))
        // Half a core is what two hosts that count as alike may differ by.
        assert.ok(other.freeCores < 1 || (other.freeCores - 0.5) * 4 < chosen.freeCores);
    }),
  );
});

test('what is free is told by the use, else by the load, else all', () => {
  const of = (cpuUsedPercent?: number, load?: [number, number, number]): number =>
    freeCores({ logicalCpus: 8, cpuUsedPercent, load });
  assert.equal(of(25, [9, 9, 9]), 6);
  assert.equal(of(undefined, [2, 0, 0]), 6);
  assert.equal(of(undefined, [20, 0, 0]), 0);
  assert.equal(of(), 8);
});
