import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { VERSION } from '../../../src/version.js';
import { BIN } from '../../support/rig.js';
import { runMain } from './run-main.js';

const scratch = realpathSync(mkdtempSync(path.join(os.tmpdir(), 'rmtx-main-')));
const project = path.join(scratch, 'project');
const bare = path.join(scratch, 'bare');
const env = { HOME: path.join(scratch, 'home'), RMTX_HOME: path.join(scratch, 'rmtx') };
mkdirSync(env.HOME, { recursive: true });
mkdirSync(project);
mkdirSync(bare);
writeFileSync(path.join(project, '.rmtx.json'), '{ "version": 1, "host": "192.0.2.1" }\n');
after(() => rmSync(scratch, { recursive: true }));

test('the version is on stdout, alone', async () => {
  assert.deepEqual(await runMain(['--version']), {
    code: 0,
    stdout: `rmtx ${VERSION}\n`,
    stderr: '',
  });
  const { stdout } = await runMain(['version', '--json']);
  assert.equal((JSON.parse(stdout) as { version: string }).version, VERSION);
});

test('help that was asked for is on stdout; rmtx alone is wrong usage', async () => {
  const asked = await runMain(['help']);
  const unasked = await runMain([]);
  assert.deepEqual([asked.code, asked.stderr], [0, '']);
  assert.deepEqual([unasked.code, unasked.stdout], [2, '']);
  assert.equal(asked.stdout, unasked.stderr);
});

test('wrong usage is 2, on stderr only, in JSON where that was asked for', async () => {
  assert.deepEqual(await runMain(['exec', '--timeot', '1s', '--', 'true']), {
    code: 2,
    stdout: '',
    stderr: 'rmtx: error: rmtx exec has no flag --timeot\nrmtx: hint: did you mean --timeout?\n',
  });
  const { code, stderr } = await runMain(['pinh', '--json']);
  assert.equal(code, 2);
  assert.deepEqual(JSON.parse(stderr), {
    error: {
      code: 'ERR_RMTX_UNKNOWN_COMMAND',
      message: 'unknown command rmtx pinh',
      hint: 'did you mean rmtx ping?',
    },
  });
});

test('exec without a config is 125 with a hint, other commands fail with 1', async () => {
  const exec = await runMain(['exec', '--', 'true'], { cwd: bare, env });
  assert.deepEqual([exec.code, exec.stdout], [125, '']);
  assert.match(exec.stderr, /^rmtx: error: no \.rmtx\.json in [^\n]*\nrmtx: hint: run rmtx init/);
  const check = await runMain(['config', 'check'], { cwd: bare, env });
  assert.equal(check.code, 1);
  const json = await runMain(['exec', '--json', '--', 'true'], { cwd: bare, env });
  assert.equal(json.code, 125);
  const { error } = JSON.parse(json.stderr) as { error: { code: string } };
  assert.equal(error.code, 'ERR_RMTX_CONFIG_NOT_FOUND');
});

test('config check names the file, config show the values and where they come from', async () => {
  const file = path.join(project, '.rmtx.json');
  const check = await runMain(['config', 'check'], { cwd: project, env });
  assert.deepEqual(check, { code: 0, stdout: `ok\t${file}\n`, stderr: '' });
  const show = await runMain(['config', 'show', '--origin'], { cwd: project, env });
  assert.match(show.stdout, /^KEY +ORIGIN +VALUE\n/);
  assert.ok(show.stdout.includes(`${file}:1  `));
  assert.match(show.stdout, /^ignore +default +\["\.git\/\*\*"\]$/m);
  const json = await runMain(['config', 'show', '--json'], { cwd: project, env });
  const { values } = JSON.parse(json.stdout) as { values: { key: string; value: unknown }[] };
  assert.equal(values.find(({ key }) => key === 'host')?.value, '192.0.2.1');
});

test('no paired host is an empty list, and forgetting one that is not there fails', async () => {
  const list = await runMain(['hosts', '--json'], { env });
  assert.deepEqual([list.code, JSON.parse(list.stdout)], [0, { hosts: [] }]);
  const forget = await runMain(['hosts', 'forget', 'nobody'], { env });
  assert.equal(forget.code, 1);
  assert.match(forget.stderr, /^rmtx: error: /);
});

test('flags that exclude each other are wrong usage before anything is dialled', async () => {
  for (const args of [
    ['context', 'delete'],
    ['context', 'delete', '--current', 'c1'],
    ['context', 'prune'],
    ['context', 'prune', '--all', '--older-than', '7d'],
    ['exec', '--timeout', '0s', '--', 'true'],
    ['exec', '--env', 'RMTX_TEST_NOT_SET', '--', 'true'],
    ['exec', '--report', 'no-such-folder/report.json', '--', 'true'],
  ]) {
    const { code, stdout } = await runMain(args, { cwd: project, env });
    assert.deepEqual([code, stdout], [2, ''], args.join(' '));
  }
});

test('init without a host says how to get its address, and writes nothing', async () => {
  const args = ['init', '--service', 'nobody-has-this', '--discovery-timeout', '50ms'];
  const { code, stderr } = await runMain(args, { cwd: bare, env });
  assert.equal(code, 1);
  assert.match(stderr, /rmtx: hint: start rmtx host on the other machine, .*--host ADDR/);
});

test('init refuses the home directory before it asks for anything', async () => {
  const { code, stderr } = await runMain(['init', '--host', '192.0.2.1'], { cwd: env.HOME, env });
  assert.equal(code, 1);
  assert.match(stderr, /^rmtx: error: the project root would be .*a home directory/);
});

test('a mistyped code is refused before anything is dialled', async () => {
  const { code, stderr } = await runMain(['pair', '--host', '192.0.2.1', '--code', '123'], {
    cwd: bare,
    env,
  });
  assert.equal(code, 1);
  assert.equal(stderr.split('\n')[0], 'rmtx: error: a pairing code is 8 digits');
});

test('a reader that leaves early causes no stack trace', () => {
  const command = `"${process.execPath}" "${BIN}" help exec | true; exit "\${PIPESTATUS[0]}"`;
  const { status, stderr } = spawnSync('bash', ['-c', command], { encoding: 'utf8' });
  assert.deepEqual([status, stderr], [0, '']);
});

test('what rmtx could not do is in the report and among the JSON lines, too', async () => {
  const report = path.join(scratch, 'report.json');
  const args = ['exec', '--json', '--report', report, '--label', 'x', '--', 'true'];
  for (const [cwd, expected] of [
    [bare, 'ERR_RMTX_CONFIG_NOT_FOUND'],
    [project, 'ERR_RMTX_NOT_PAIRED'],
  ] as const) {
    const { code, stdout } = await runMain(args, { cwd, env });
    assert.equal(code, 125);
    const document = JSON.parse(readFileSync(report, 'utf8')) as Record<string, unknown>;
    assert.equal((document['error'] as { code: string }).code, expected);
    assert.deepEqual(
      [document['exit_code'], document['run_id'], document['label']],
      [125, null, 'x'],
    );
    const last = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as object;
    assert.deepEqual(last, { type: 'report', ...document });
  }
});
