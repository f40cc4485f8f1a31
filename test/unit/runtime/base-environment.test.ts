import assert from 'node:assert/strict';
import os from 'node:os';
import { test } from 'node:test';
import {
  buildRunEnvironment,
  captureBaseEnvironment,
} from '../../../src/runtime/base-environment.js';
import { fixture } from '../../support/commands.js';

const unixOnly = { skip: process.platform === 'win32' ? 'no login shells on Windows' : false };
const daemon = {
  PATH: '/usr/bin:/bin',
  HOME: '/tmp',
  LANG: 'C.UTF-8',
  DAEMON_TOKEN: 'secret',
  LD_PRELOAD: '',
  NODE_OPTIONS: '--trace-warnings',
};

test('takes what the login shell sets, and only the base names', unixOnly, async () => {
  const shell = fixture('login-shell-noisy.sh');
  assert.deepEqual(await captureBaseEnvironment({ daemon, shell }), {
    PATH: '/from/profile:/usr/bin:/bin',
    HOME: '/tmp',
    LANG: 'C.UTF-8',
    LC_TIME: 'C',
    USER: os.userInfo().username,
    SHELL: shell,
  });
});

test('asks the real login shell of the account', unixOnly, async () => {
  const base = await captureBaseEnvironment();
  assert.match(base['PATH'] ?? '', /\/bin/);
  assert.equal(base['USER'], os.userInfo().username);
  assert.deepEqual(
    Object.keys(base).filter((name) => !/^(PATH|HOME|USER|LANG|SHELL|TMPDIR|LC_.*)$/.test(name)),
    [],
  );
});

for (const [what, shell] of [
  ['refuses', fixture('login-shell-refuses.sh')],
  ['hangs', fixture('login-shell-hangs.sh')],
  ['is missing', '/nonexistent/shell'],
] as const)
  test(`falls back where the login shell ${what}`, unixOnly, async () => {
    const base = await captureBaseEnvironment({ daemon: {}, shell, limitMs: 300 });
    assert.match(base['PATH'] ?? '', /:\/usr\/bin:/);
    assert.equal(base['HOME'], os.userInfo().homedir);
  });

const parts = {
  base: { PATH: '/bin', LANG: 'C' },
  forwarded: new Map<string, string>(),
  workspace: '/w',
  contextId: 'c1',
  runId: 'r1',
};

test('later parts win, and rmtx has the last word', () => {
  const forwarded = new Map([
    ['LANG', 'de_DE.UTF-8'],
    ['CI', '1'],
    ['__proto__', 'kept'],
    ['RMTX', 'forged'],
    ['RMTX_RUN_ID', 'forged'],
    ['RMTX_ELSE', 'forged'],
    ['RMTXISH', 'kept'],
  ]);
  const env = buildRunEnvironment({ ...parts, forwarded });
  const { RMTX_CPU_COUNT: cpus, RMTX_MEMORY_AVAILABLE_BYTES: memory, ...rest } = env;
  assert.deepEqual(Object.entries(rest).sort(), [
    ['CI', '1'],
    ['LANG', 'de_DE.UTF-8'],
    ['PATH', '/bin'],
    ['RMTX', '1'],
    ['RMTXISH', 'kept'],
    ['RMTX_CONTEXT_ID', 'c1'],
    ['RMTX_RUNNER', 'host'],
    ['RMTX_RUN_ID', 'r1'],
    ['RMTX_WORKSPACE', '/w'],
    ['__proto__', 'kept'],
  ]);
  assert.equal(Number(cpus), os.availableParallelism());
  assert.match(memory ?? '', /^[1-9]\d+$/);
});

for (const [what, name, value, code] of [
  ['an empty name', '', 'x', 'ERR_RMTX_BAD_ARGUMENT'],
  ['a name with =', 'A=B', 'x', 'ERR_RMTX_BAD_ARGUMENT'],
  ['a name with NUL', 'A\0', 'x', 'ERR_RMTX_COMMAND_NOT_UNICODE'],
  ['a value with NUL', 'A', 'secret\0', 'ERR_RMTX_COMMAND_NOT_UNICODE'],
  ['a value that is not Unicode', 'A', 'secret\ud800', 'ERR_RMTX_COMMAND_NOT_UNICODE'],
] as const)
  test(`refuses ${what}, without showing the value`, () => {
    assert.throws(
      () => buildRunEnvironment({ ...parts, forwarded: new Map([[name, value]]) }),
      (error: Error & { code?: string }) =>
        error.code === code && !error.message.includes('secret'),
    );
  });
