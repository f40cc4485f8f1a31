import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { BIN, Rig } from '../support/rig.js';
import type { Result, RigClient, RigHost } from '../support/rig.js';

const hasScript = spawnSync('script', ['--version']).status === 0;

interface Config {
  readonly host?: string;
  readonly tls: { readonly host_fingerprint: string };
  readonly ignore: readonly string[];
  readonly keep_on_host?: readonly string[];
}

/** A folder with these files that is no project yet. */
function folder(rig: Rig, files: Readonly<Record<string, string>> = {}): string {
  const root = rig.newDirectory('folder');
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
    writeFileSync(path.join(root, name), text);
  }
  return root;
}

function readConfig(root: string, name = '.rmtx.json'): Config {
  return JSON.parse(readFileSync(path.join(root, name), 'utf8')) as Config;
}

async function init(
  client: RigClient,
  options: { readonly cwd: string; readonly host: RigHost; readonly flags?: readonly string[] },
): Promise<Result> {
  const { cwd, host, flags = [] } = options;
  const code = await host.pairCode();
  return client.rmtx(['init', '--host', host.address, '--code', code, ...flags], { cwd });
}

describe('init', () => {
  test('with host and code asks nothing, writes the config, and a run works', async () => {
    await using rig = new Rig();
    const host = await rig.host();
    const client = rig.client();
    const cwd = folder(rig, { 'main.c': 'int main;', '.env': 'SECRET=1' });
    const result = await init(client, { cwd, host });
    assert.equal(result.code, 0, result.stderr);
    const [word, file, address, fingerprint] = result.text.trimEnd().split('\t');
    assert.deepEqual(
      [word, file, address],
      ['initialized', path.join(cwd, '.rmtx.json'), host.address],
    );
    const config = readConfig(cwd);
    assert.deepEqual([config.host, config.tls.host_fingerprint], [host.address, fingerprint]);
    assert.match(result.stderr, /^rmtx: wrote .*\.rmtx\.json$/m);
    assert.match(result.stderr, /^rmtx: never sent, secrets among them: .*\*\*\/\.env,/m);
    assert.match(result.stderr, /^rmtx: the first run sends 2 files \(\d+B\)$/m);
    assert.ok(config.ignore.includes('**/.env'));
    const ran = await client.rmtx(['exec', '--', 'ls', '-A'], { cwd });
    assert.deepEqual([ran.code, ran.text], [0, '.rmtx.json\nmain.c\n'], ran.stderr);
  });

  test('recognises what kind of project it is', async () => {
    await using rig = new Rig();
    const host = await rig.host();
    const client = rig.client();
    const node = folder(rig, {
      'package.json': '{}',
      'node_modules/a/index.js': 'x',
      'src/a.js': 'y',
    });
    const made = await init(client, { cwd: node, host, flags: ['--json'] });
    assert.equal(made.stderr, '');
    const document = JSON.parse(made.text) as { initialized: object; files: number; bytes: number };
    assert.deepEqual(Object.keys(document.initialized), [
      'config',
      'host',
      'address',
      'fingerprint',
    ]);
    assert.equal(document.files, 3);
    const config = readConfig(node);
    assert.ok(config.ignore.includes('**/node_modules/**'));
    assert.ok(config.keep_on_host?.includes('**/node_modules/'));

    const mixed = folder(rig, { 'Cargo.toml': '', 'go.mod': '', '.gitignore': 'out/\n' });
    const both = await init(client, { cwd: mixed, host });
    assert.match(both.stderr, /^rmtx: wrote .* for Rust, Go$/m);
    assert.deepEqual(readConfig(mixed).keep_on_host, [':gitignored', 'target/']);
    assert.match(both.stderr, /^rmtx: stays on the host from run to run: :gitignored, target\/$/m);
  });

  test('leaves a config that is there as it is, here or above, and writes only the local one', async () => {
    await using rig = new Rig();
    const host = await rig.host();
    const client = rig.client();
    const shared = '// ours\n{ "version": 1, "ignore": ["big/**"], }\n';
    const root = folder(rig, { '.rmtx.json': shared, 'deep/down/file': '' });
    spawnSync('git', ['init', '-q'], { cwd: root });
    for (const cwd of [root, path.join(root, 'deep/down')]) {
      const result = await init(client, { cwd, host });
      assert.equal(result.code, 0, result.stderr);
      assert.match(
        result.text,
        new RegExp(`^initialized\t${root}/.rmtx.json\t${host.address}\tsha256:`),
      );
      assert.match(result.stderr, /^rmtx: kept .*\.rmtx\.json as it is$/m);
      assert.equal(readFileSync(path.join(root, '.rmtx.json'), 'utf8'), shared);
      assert.equal(readConfig(root, '.rmtx.local.json').host, host.address);
    }
    assert.deepEqual(readdirSync(path.join(root, 'deep/down')), ['file']);
    const git = spawnSync('git', ['status', '--porcelain'], { cwd: root, encoding: 'utf8' });
    assert.deepEqual(git.stdout.trimEnd().split('\n').sort(), ['?? .rmtx.json', '?? deep/']);
    const ran = await client.rmtx(['exec', '--', 'pwd'], { cwd: path.join(root, 'deep') });
    assert.match(ran.text, /\/deep\n$/, ran.stderr);
  });

  test('writes the address only where --host named it; the pin finds the host all the same', async () => {
    await using rig = new Rig();
    const host = await rig.host();
    const client = rig.client();
    const cwd = folder(rig);
    const code = await host.pairCode();
    const env = { RMTX_HOST: host.address };
    const result = await client.rmtx(['init', '--code', code], { cwd, env });
    assert.equal(result.code, 0, result.stderr);
    assert.equal(readConfig(cwd).host, undefined);
    assert.equal((await client.rmtx(['exec', '--', 'true'], { cwd })).code, 0);
  });

  test('writes to the place that --config names', async () => {
    await using rig = new Rig();
    const host = await rig.host();
    const client = rig.client();
    const cwd = folder(rig, { 'sub/file': '' });
    const result = await init(client, { cwd, host, flags: ['--config', 'sub/rmtx.json'] });
    assert.equal(result.code, 0, result.stderr);
    assert.deepEqual(readdirSync(path.join(cwd, 'sub')), ['file', 'rmtx.json']);
    assert.deepEqual(readdirSync(cwd), ['sub']);
  });

  test('needs no code in the next project, until the host does not know this client any more', async () => {
    await using rig = new Rig();
    const host = await rig.host();
    const client = rig.client();
    await init(client, { cwd: folder(rig), host });
    const cwd = folder(rig);
    const args = ['init', '--host', host.address];
    const result = await client.rmtx(args, { cwd });
    assert.equal(result.code, 0, result.stderr);
    assert.match(
      result.text,
      new RegExp(`^initialized\t${cwd}/.rmtx.json\t${host.address}\tsha256:`),
    );
    assert.equal((await client.rmtx(['exec', '--', 'true'], { cwd })).code, 0);
    const others = ['--fingerprint', `sha256:${'0'.repeat(64)}`];
    const other = await client.rmtx([...args, ...others], { cwd: folder(rig) });
    assert.match(other.stderr, /is not the paired host/);
    const { text } = await host.admin('clients', '--json');
    const { clients } = JSON.parse(text) as { clients: { id: string }[] };
    assert.equal((await host.admin('clients', 'revoke', clients[0]?.id ?? '')).code, 0);
    const stranger = await client.rmtx(args, { cwd: folder(rig) });
    assert.match(stranger.stderr, /no terminal to ask for the pairing code/);
  });

  test('takes the code from stdin', async () => {
    await using rig = new Rig();
    const host = await rig.host();
    const client = rig.client();
    const cwd = folder(rig);
    const code = await host.pairCode();
    const stdin = `${code.slice(0, 4)} ${code.slice(4)}\n`;
    const args = ['init', '--host', host.address, '--code', '-'];
    const result = await client.rmtx(args, { cwd, stdin });
    assert.equal(result.code, 0, result.stderr);
    const empty = await client.rmtx(args, { cwd, stdin: '' });
    assert.equal(empty.code, 2);
    assert.match(empty.stderr, /^rmtx: error: stdin ended before the pairing code\n/);
  });
});

describe('init refuses, and writes nothing', () => {
  test('where a person is needed and none is there', async () => {
    await using rig = new Rig();
    const host = await rig.host();
    const cwd = folder(rig);
    const args = ['init', '--host', host.address];
    const result = await rig.client().rmtx(args, { cwd });
    assert.equal(result.code, 2);
    assert.match(result.stderr, /no terminal to ask for the pairing code\nrmtx: hint: .*--code/);
    const json = await rig.client().rmtx([...args, '--json'], { cwd });
    const { error } = JSON.parse(json.stderr) as { error: { code: string } };
    assert.equal(error.code, 'ERR_RMTX_NEEDS_TERMINAL');
    assert.deepEqual(readdirSync(cwd), []);
    // The owner of the host is told all the same.
    await host.running.says(/asks to pair: run rmtx host pair-code/);
  });

  test('without a host, and where none answers', async () => {
    await using rig = new Rig();
    const cwd = folder(rig);
    const args = ['init', '--service', 'nobody-has-this', '--discovery-timeout', '50ms'];
    const none = await rig.client().rmtx(args, { cwd });
    assert.equal(none.code, 1);
    assert.match(none.stderr, /hint: .*--host ADDR/);
    const away = await rig
      .client()
      .rmtx(['init', '--host', '127.0.0.1:1', '--code', '00000000'], { cwd });
    assert.equal(away.code, 1);
    assert.deepEqual(readdirSync(cwd), []);
  });

  test('home directories and the top of the file system, before it asks for anything', async () => {
    await using rig = new Rig();
    const host = await rig.host();
    const client = rig.client();
    for (const cwd of [client.home, '/', path.dirname(client.home)]) {
      const result = await init(client, { cwd, host, flags: ['--json'] });
      assert.equal(result.code, 1, cwd);
      assert.match(result.stderr, /"ERR_RMTX_PROJECT_ROOT_REFUSED"/);
      assert.equal(existsSync(path.join(cwd, '.rmtx.json')), false);
    }
    const listed = JSON.parse((await host.admin('clients', '--json')).text) as {
      clients: object[];
    };
    assert.equal(listed.clients.length, 0);
  });

  test('a config that is wrong, before it asks for anything', async () => {
    await using rig = new Rig();
    const host = await rig.host();
    const client = rig.client();
    const cwd = folder(rig, { '.rmtx.json': '{\n  "version": 1,\n  "ignored": []\n}\n' });
    const result = await init(client, { cwd, host });
    assert.equal(result.code, 1);
    assert.match(result.stderr, /\.rmtx\.json:3.*"?ignored"?/);
    assert.deepEqual(readdirSync(cwd), ['.rmtx.json']);
    assert.deepEqual(JSON.parse((await client.rmtx(['hosts', '--json'])).text), { hosts: [] });
  });

  test('a wrong code and a wrong fingerprint', async () => {
    await using rig = new Rig();
    const host = await rig.host();
    const other = await rig.host();
    const client = rig.client();
    const cwd = folder(rig);
    await host.pairCode();
    const code = await other.pairCode();
    const wrong = await client.rmtx(['init', '--host', host.address, '--code', code], { cwd });
    assert.equal(wrong.code, 1);
    assert.match(wrong.stderr, /code/);
    const flags = ['--fingerprint', `sha256:${'0'.repeat(64)}`];
    const another = await init(client, { cwd, host, flags });
    assert.equal(another.code, 1);
    assert.match(another.stderr, /not the (?:paired )?host/);
    assert.deepEqual(readdirSync(cwd), []);
    assert.deepEqual(JSON.parse((await client.rmtx(['hosts', '--json'])).text), { hosts: [] });
  });
});

test(
  'a person types the code at a terminal, and once wrongly',
  { skip: hasScript ? false : 'needs script(1)' },
  async () => {
    await using rig = new Rig();
    const host = await rig.host();
    const client = rig.client();
    const cwd = folder(rig);
    const line = `'${process.execPath}' '${BIN}' init --host ${host.address}`;
    const running = client.start([], {
      cwd,
      wrap: ['sh', '-c', `exec script -qec "${line}" /dev/null`],
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    await running.says(/pairing code: /);
    running.child.stdin?.write('12345678\n');
    await running.says(/typing error[^]*pairing code: /);
    running.child.stdin?.write(`${await host.pairCode()}\n`);
    const result = await running.ended;
    assert.equal(result.code, 0, result.text);
    assert.match(result.text, /^initialized\t/m);
    assert.equal(readConfig(cwd).host, host.address);
  },
);

describe('a host in a terminal', { skip: hasScript ? false : 'needs script(1)' }, () => {
  const wrap = ['sh', '-c', 'exec script -qec "$0 $*" /dev/null'];

  test('opens its first pairing window itself, and shows what to type', async () => {
    await using rig = new Rig();
    const host = await rig.host({ wrap });
    const [, first = '', second = ''] = await host.running.says(/code +(\d{4}) (\d{4}) \(for 5m\)/);
    await host.running.says(new RegExp(`rmtx init --host ${host.address}\\r?\\n`));
    const cwd = folder(rig);
    const args = ['init', '--host', host.address, '--code', first + second];
    assert.equal((await rig.client().rmtx(args, { cwd })).code, 0);
    await host.running.says(/paired with \S+@\S+ \(from 127\.0\.0\.1\)/);
  });

  test('keeps to the code that was asked for before it ran', async () => {
    await using rig = new Rig();
    const first = await rig.host();
    const { stateDirectory } = first;
    await first.stop();
    const code = await first.pairCode();
    const host = await rig.host({ stateDirectory, wrap });
    await host.running.says(/pairing is open, with the code that rmtx host pair-code printed/);
    assert.doesNotMatch(host.running.stdoutText, /code {2}/);
    const pair = ['pair', '--host', host.address, '--code', code];
    assert.equal((await rig.client().rmtx(pair)).code, 0);
  });
});
