import assert from 'node:assert/strict';
import { test } from 'node:test';
import { initLines } from '../../../../src/cli/report/init-text.js';
import { previewJson, previewPairs } from '../../../../src/cli/report/preview.js';
import type { Preview } from '../../../../src/cli/report/preview.js';

const preview: Preview = {
  files: 1234,
  bytes: 12_300_000,
  largestFolders: [
    { path: 'data', bytes: 10_000_000 },
    { path: 'src', bytes: 1_000_000 },
  ],
  problems: [{ path: 's', code: 'special-file', message: 'a socket' }],
};

const nothing = { preview: undefined, ping: undefined };

test('init says what it wrote, what stays here, and how much is sent', () => {
  const outcome = {
    kind: 'created',
    configFile: '/p/.rmtx.json',
    projectKinds: ['Node.js'],
    ignore: ['.git/**', '**/.env'],
    keepOnHost: ['**/node_modules/'],
  } as const;
  assert.deepEqual(initLines({ outcome, preview, ping: { name: 'box', rttMs: 1.24 } }), [
    'rmtx: wrote /p/.rmtx.json for Node.js',
    'rmtx: never sent, secrets among them: .git/**, **/.env',
    'rmtx: stays on the host from run to run: **/node_modules/',
    'rmtx: the first run sends 1,234 files (12MB); largest folders: data (10MB), src (1MB)',
    'rmtx: warning: s: a socket',
    'rmtx: paired with box, which answers in 1.2ms',
    'rmtx: try it: rmtx exec -- uname -a',
  ]);
});

test('init in a project that has a config says that it left it alone', () => {
  const outcome = {
    kind: 'joined',
    configFile: '/p/.rmtx.json',
    localFile: '/p/.rmtx.local.json',
    hasChanged: true,
  } as const;
  assert.deepEqual(initLines({ outcome, ...nothing }), [
    'rmtx: kept /p/.rmtx.json as it is',
    'rmtx: wrote this host into /p/.rmtx.local.json',
    'rmtx: try it: rmtx exec -- uname -a',
  ]);
  assert.equal(
    initLines({ outcome: { ...outcome, hasChanged: false }, ...nothing })[1],
    'rmtx: it names this host already, so nothing was written',
  );
});

test('a preview is a list for people and an object for programs', () => {
  assert.deepEqual(previewPairs(preview), [
    ['files', '1,234 files, 12MB'],
    ['largest', 'data 10MB, src 1MB'],
    ['problem', 's: a socket'],
  ]);
  assert.deepEqual(previewJson(preview), {
    files: 1234,
    bytes: 12_300_000,
    largest_folders: [
      { path: 'data', bytes: 10_000_000 },
      { path: 'src', bytes: 1_000_000 },
    ],
    problems: [{ path: 's', code: 'special-file', message: 'a socket' }],
  });
});
