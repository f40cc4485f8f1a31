import fc from 'fast-check';

/**
 * Texts of any code points, lone surrogates among them, and fast-check's own texts with the words that are
 * dangerous in JavaScript. Its unit `binary` has no lone surrogates, and takes 0.8 s for a table of all
 * code points that it makes in each process.
 */
export function anyText(maxLength?: number): fc.Arbitrary<string> {
  const limits = maxLength === undefined ? {} : { maxLength };
  const codePoints = fc.array(fc.integer({ min: 0, max: 0x10ffff }), limits);
  return fc.oneof(
    { weight: 4, arbitrary: codePoints.map((points) => String.fromCodePoint(...points)) },
    { weight: 1, arbitrary: fc.string(limits) },
  );
}
