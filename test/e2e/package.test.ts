import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { Rig } from '../support/rig.js';

const ROOT = path.resolve(__dirname, '../../..');
/** A registry that does not answer is as good as none. */
const INSTALL_LIMIT_MS = 60_000;

interface Packed {
  readonly filename: string;
  readonly files: readonly { readonly path: string; readonly mode: number }[];
}

/** Without the build that publishing does first: tests run on what is built, and others are reading it. */
function pack(directory: string): Packed {
  const args = ['pack', '--ignore-scripts', '--json', '--pack-destination', directory];
  const told = execFileSync('npm', args, { cwd: ROOT, encoding: 'utf8', stdio: 'pipe' });
  const [packed] = JSON.parse(told) as Packed[];
  assert.ok(packed);
  return packed;
}

/**
 * Installs the way a person does; resolves to the program. Where no registry can be reached, what npm
 * would do is done here, with the packages of this checkout.
 */
function install(t: TestContext, tarball: string, prefix: string): string {
  const program = path.join(prefix, 'bin', 'rmtx');
  const flags = ['--prefix', prefix, '--omit=optional', '--prefer-offline', '--no-audit'];
  const installed = spawnSync('npm', ['install', '-g', ...flags, tarball], {
    encoding: 'utf8',
    timeout: INSTALL_LIMIT_MS,
  });
  if (installed.status === 0) return program;
  assert.match(installed.stderr, /network|ENOTFOUND|ENOTCACHED|EAI_AGAIN|ETIMEDOUT|ECONN|^$/);
  t.diagnostic('no registry in reach: unpacked by hand, with the packages of this checkout');
  const home = path.join(prefix, 'lib', 'node_modules', 'rmtx');
  for (const made of [home, path.dirname(program)]) mkdirSync(made, { recursive: true });
  execFileSync('tar', ['-xzf', tarball, '-C', home, '--strip-components=1']);
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(home, 'node_modules'));
  symlinkSync(path.join(home, 'bin', 'rmtx.js'), program);
  return program;
}

test('the package holds what it needs and nothing else, and works where it is installed', async (t) => {
  await using rig = new Rig();
  const packed = pack(rig.directory);
  const names = packed.files.map((file) => file.path);
  const outside = names.filter((name) => !name.startsWith('dist/bundle/'));
  assert.deepEqual(outside.sort(), [
    '.rmtx.json.example',
    'CHANGELOG.md',
    'LICENSE',
    'README.md',
    'bin/rmtx.js',
    'package.json',
    'rmtx.schema.json',
  ]);
  for (const name of names.filter((each) => !outside.includes(each))) assert.match(name, /\.js$/);
  const commands = readdirSync(path.join(ROOT, 'src/cli/commands')).map((name) =>
    name.replace(/\.ts$/, '.js'),
  );
  for (const name of [...commands, 'workspace-worker.js'])
    assert.ok(names.includes(`dist/bundle/commands/${name}`), name);

  const program = install(
    t,
    path.join(rig.directory, packed.filename),
    path.join(rig.directory, 'prefix'),
  );
  const { version } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as {
    version: string;
  };
  // The rig would start the checkout's program: its first two words go.
  const wrap = ['sh', '-c', `shift; exec '${program}' "$@"`];
  const host = await rig.host({ wrap });
  const client = rig.client();
  const rmtx = (args: readonly string[], cwd?: string): ReturnType<typeof client.rmtx> =>
    client.start(args, { wrap, ...(cwd === undefined ? {} : { cwd }) }).ended;
  assert.equal((await rmtx(['version'])).text, `rmtx ${version}\n`);
  const pair = await rmtx(['pair', '--host', host.address, '--code', await host.pairCode()]);
  assert.equal(pair.code, 0, pair.stderr);
  const project = client.project({ 'in.txt': 'hello' }, { host });
  const script = 'tr a-z A-Z < in.txt > out.txt; cat out.txt';
  const ran = await rmtx(['exec', '--', 'sh', '-c', script], project.root);
  assert.deepEqual([ran.code, ran.text, ran.stderr], [0, 'HELLO', '']);
  assert.equal(readFileSync(project.path('out.txt'), 'utf8'), 'HELLO');
  const help = await rmtx(['help']);
  assert.match(help.text, /rmtx exec/);
  assert.equal((await host.stop()).code, 0);
});
