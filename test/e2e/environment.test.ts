import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { Rig } from '../support/rig.js';
import type { RigClient, RigHost, RigProject, RunProcessOptions } from '../support/rig.js';

const needsEnv = existsSync('/usr/bin/env') ? false : 'needs /usr/bin/env';

/** What the daemon was started with, and no command may see. */
const POISON = {
  SECRET_TOKEN: 'leaked',
  AWS_SECRET_ACCESS_KEY: 'leaked',
  NODE_OPTIONS: '--no-warnings',
  NODE_ENV: 'leaked',
  NODE_EXTRA_CA_CERTS: '/dev/null',
  LD_LIBRARY_PATH: '/leaked',
  PYTHONPATH: '/leaked',
  GIT_DIR: '/leaked',
  SSH_AUTH_SOCK: '/leaked',
  TERM: 'leaked',
  COLORTERM: 'leaked',
  LINES: '7',
  DISPLAY: ':9',
  OLDPWD: '/leaked',
  RMTX_SECRET: 'leaked',
  RMTX_RUN_ID: 'r0000000000000000',
  PS1: 'leaked',
  ENV: '/leaked',
  BASH_ENV: '/leaked',
  lower: 'leaked',
  PATHS: 'leaked',
};

const rig = new Rig();
let host: RigHost;
let client: RigClient;
before(async () => {
  const poison = Object.entries(POISON).map(([name, value]) => `${name}=${value}`);
  host = await rig.host({ wrap: ['/usr/bin/env', ...poison] });
  client = rig.pairedClient(host);
});
after(() => rig[Symbol.asyncDispose]());

function projectThatForwards(...forward: readonly string[]): RigProject {
  return client.project({}, { host, config: forward.length === 0 ? {} : { env: { forward } } });
}

/** What the command is really started with; a shell would add to it. */
async function environmentOf(
  project: RigProject,
  options: RunProcessOptions & { readonly flags?: readonly string[] } = {},
): Promise<Map<string, string>> {
  const { code, text, stderr } = await project.exec(['/usr/bin/env', '-0'], options);
  assert.deepEqual([code, stderr], [0, '']);
  return new Map(
    text
      .split('\0')
      .filter((entry) => entry !== '')
      .map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]),
  );
}

describe('the environment of a command', { skip: needsEnv }, () => {
  test('has nothing of the daemon and nothing of the client', async () => {
    const project = projectThatForwards();
    const env = await environmentOf(project, { env: { TERM: 'xterm', MINE: 'kept at home' } });
    const base = /^(?:PATH|HOME|USER|LANG|SHELL|TMPDIR|LC_[A-Z]+)$/;
    const own = [
      'RMTX',
      'RMTX_RUNNER',
      'RMTX_WORKSPACE',
      'RMTX_CONTEXT_ID',
      'RMTX_RUN_ID',
      'RMTX_CPU_COUNT',
      'RMTX_MEMORY_AVAILABLE_BYTES',
    ];
    assert.deepEqual([...env.keys()].filter((name) => !base.test(name)).sort(), own.sort());
    for (const [name, value] of env) assert.doesNotMatch(value, /leaked|kept at home/, name);
    assert.match(env.get('RMTX_RUN_ID') ?? '', /^r(?!0{16})[0-9a-z]{16}$/);
  });

  test('has the locale of the host, or that of the client where it is forwarded', async () => {
    const mine = { LANG: 'de_DE.UTF-8', LC_TIME: 'sv_SE.UTF-8', LC_ALL: 'C', LCX: 'no' };
    const env = await environmentOf(projectThatForwards(), { env: mine });
    assert.deepEqual([env.get('LANG'), env.get('LC_TIME')], ['C.UTF-8', undefined]);
    const forwarded = await environmentOf(projectThatForwards('LANG', 'LC_*'), { env: mine });
    assert.deepEqual(
      ['LANG', 'LC_TIME', 'LC_ALL', 'LCX'].map((name) => forwarded.get(name)),
      ['de_DE.UTF-8', 'sv_SE.UTF-8', 'C', undefined],
    );
  });

  test('has what --env gives, over what is forwarded, but never in the place of rmtx', async () => {
    const project = projectThatForwards('CI_*', 'GIT?', 'GIVEN', 'MISSING', 'RMTX_WORKSPACE');
    const env = await environmentOf(project, {
      env: {
        CI_JOB: '7',
        CI_: 'empty star',
        CI: 'not named',
        GITX: '1',
        GITXY: '2',
        GIVEN: 'forwarded',
        TAKEN: 'from here',
        RMTX_WORKSPACE: '/forged',
      },
      flags: [
        '--env',
        'GIVEN=by flag',
        '--env',
        'TAKEN',
        '--env',
        'EMPTY=',
        '--env',
        'PATH=/usr/bin',
      ],
    });
    assert.deepEqual(
      ['CI_JOB', 'CI_', 'CI', 'GITX', 'GITXY', 'GIVEN', 'TAKEN', 'EMPTY', 'MISSING', 'PATH'].map(
        (name) => env.get(name),
      ),
      [
        '7',
        'empty star',
        undefined,
        '1',
        undefined,
        'by flag',
        'from here',
        '',
        undefined,
        '/usr/bin',
      ],
    );
    assert.match(env.get('RMTX_WORKSPACE') ?? '', /\/workspaces\//);
  });

  test('has no TERM without a terminal, but the one that is given', async () => {
    const project = projectThatForwards();
    assert.equal((await environmentOf(project)).get('TERM'), undefined);
    const given = await environmentOf(project, { flags: ['--env', 'TERM=dumb'] });
    assert.equal(given.get('TERM'), 'dumb');
  });
});
