'use strict';
const tseslint = require('typescript-eslint');

/** Lowest first; a folder may import itself and lower lines, never its own line's neighbours. See src/README.md. */
const layers = [
  ['util'],
  ['config', 'store', 'trust'],
  ['sync'],
  ['protocol'],
  ['discovery', 'transport', 'runtime'],
  ['client', 'host'],
  ['cli'],
];

/** The folders that may import each runtime package. */
const packageHomes = {
  cac: ['cli'],
  'node-forge': ['trust'],
  '@noble/curves': ['trust'],
  blake3: ['store'],
  '@napi-rs/blake-hash': ['store'],
  '@lydell/node-pty': ['runtime'],
  micromatch: ['sync'],
  ignore: ['sync'],
  undici: ['client'],
  'jsonc-parser': ['config'],
  'bonjour-service': ['discovery'],
  systeminformation: ['host'],
};

const notBelow = (folder) =>
  layers
    .slice(layers.findIndex((line) => line.includes(folder)))
    .flat()
    .filter((name) => name !== folder);

const deepImport = {
  regex: String.raw`^(\.\./)+(?!\.\.)[^/]+/[^/]+/`,
  message: 'Subfolders are private to their capability.',
};

const boundaries = layers.flat().map((folder) => ({
  files: [`src/${folder}/**/*.ts`],
  rules: {
    'no-restricted-imports': [
      'error',
      {
        patterns: [
          deepImport,
          ...(notBelow(folder).length > 0
            ? [
                {
                  regex: String.raw`^(\.\./)+(${notBelow(folder).join('|')})/`,
                  message: 'See the layer rule in src/README.md.',
                },
              ]
            : []),
          ...Object.entries(packageHomes)
            .filter(([, homes]) => !homes.includes(folder))
            .map(([name]) => ({
              regex: `^${name}(/|$)`,
              message: 'See the package table in src/README.md.',
            })),
        ],
      },
    ],
  },
}));

module.exports = tseslint.config(
  { ignores: ['dist*/', 'fixtures/', 'coverage/', 'node_modules/'] },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: __dirname },
    },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/no-unnecessary-condition': [
        'error',
        { allowConstantLoopConditions: 'only-allowed-literals' },
      ],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      'max-lines': ['error', { max: 400, skipBlankLines: true, skipComments: true }],
      'max-params': 'off',
      '@typescript-eslint/max-params': ['error', { max: 3 }],
      'no-restricted-syntax': [
        'error',
        { selector: 'ExportAllDeclaration', message: 'Name each export.' },
        { selector: 'ExportDefaultDeclaration', message: 'Use a named export.' },
      ],
      eqeqeq: 'error',
      '@typescript-eslint/no-unused-vars': [
        'error',
        { varsIgnorePattern: '^_', argsIgnorePattern: '^_', caughtErrors: 'all' },
      ],
    },
  },
  ...boundaries,
  {
    files: ['test/**/*.ts'],
    rules: {
      'max-lines': 'off',
      // node:test returns promises from test() that the runner itself awaits.
      '@typescript-eslint/no-floating-promises': [
        'error',
        {
          allowForKnownSafeCalls: [
            { from: 'package', package: 'node:test', name: ['test', 'describe', 'it', 'suite'] },
          ],
        },
      ],
      '@typescript-eslint/no-non-null-assertion': 'off',
      // A table of cases may hold some that have nothing to wait for.
      '@typescript-eslint/require-await': 'off',
      // What a hostile peer is made to say is not what the types promise.
      '@typescript-eslint/no-unnecessary-condition': 'off',
    },
  },
);
