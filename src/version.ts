/** This build's version, as in package.json; `test/unit/version.test.ts` holds the two equal. */
export const VERSION = '0.1.0';
