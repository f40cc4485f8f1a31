import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  symlinkSync,
  utimesSync,
} from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { PairedRig } from '../support/paired-rig.js';

const paired = new PairedRig();

describe('exec', () => {
  test('runs on the host in the synced tree and brings the result home', async () => {
    const project = paired.project({ 'input.txt': 'hello\n', 'sub/deep.txt': 'deep' });
    const result = await project.sh(
      'tr a-z A-Z < input.txt > output.txt; cat sub/deep.txt; pwd >&2',
    );
    assert.equal(result.code, 0, result.stderr);
    assert.equal(result.text, 'deep');
    assert.match(result.stderr, new RegExp(`^${project.host.stateDirectory}/workspaces/`));
    assert.equal(readFileSync(project.path('output.txt'), 'utf8'), 'HELLO\n');
  });

  test('prints nothing of its own when all is well and there is no terminal', async () => {
    const project = paired.project();
    const result = await project.exec(['true']);
    assert.deepEqual([result.code, result.text, result.stderr], [0, '', '']);
  });

  test('neither sends nor lets the host write where this machine keeps its key', async () => {
    const project = paired.project({ 'a.txt': 'a' });
    const { client, host } = project;
    const state = project.path('tools/state');
    mkdirSync(project.path('tools'));
    renameSync(path.join(client.home, '.rmtx'), state);
    const env = { RMTX_HOME: state };
    const found = await project.exec(['find', '.', '-type', 'f'], { env });
    assert.equal(found.code, 0, found.stderr);
    assert.deepEqual(found.text.split('\n').sort(), ['', './.rmtx.json', './a.txt']);
    const keyFile = path.join(state, 'identity/key.pem');
    const key = readFileSync(keyFile, 'utf8');
    const script = 'mkdir -p tools/state/identity; echo evil > tools/state/identity/key.pem';
    const written = await project.sh(script, { env });
    assert.equal(written.code, 0, written.stderr);
    assert.equal(readFileSync(keyFile, 'utf8'), key);

    const within = client.project({}, { host, root: state });
    const refused = await within.exec(['true'], { env });
    assert.equal(refused.code, 125);
    assert.match(refused.stderr, /is where rmtx keeps its own state\n.*RMTX_HOME/);
  });

  test('exits with the command, its signal, or what kept it from starting', async () => {
    const project = paired.project({ 'plain.txt': 'no program' });
    const cases: [string[], number, RegExp?][] = [
      [['sh', '-c', 'exit 3'], 3],
      [['sh', '-c', 'exit 255'], 255],
      [['sh', '-c', 'kill -9 $$'], 137],
      [['sh', '-c', 'kill -TERM $$'], 143],
      [['no-such-program'], 127, /PATH/],
      [['./plain.txt'], 126],
      [['echo one && echo two'], 127, /sh -c/],
    ];
    for (const [command, code, says] of cases) {
      const result = await project.exec(command);
      assert.equal(result.code, code, `${command.join(' ')}: ${result.stderr}`);
      if (says !== undefined) assert.match(result.stderr, says);
    }
  });

  test('passes the argv exactly', async () => {
    const project = paired.project();
    const odd = [
      '',
      ' ',
      'a b',
      "it's",
      '$HOME',
      '*',
      '\\',
      '"',
      'ünïcödé 🎉',
      'line\nbreak',
      '--',
      '-x',
      '--flag=v',
    ];
    const result = await project.exec([
      process.execPath,
      '-e',
      'console.log(JSON.stringify(process.argv.slice(1)))',
      '--',
      ...odd,
    ]);
    assert.deepEqual(JSON.parse(result.text), odd);
  });

  test('runs in the directory that corresponds to the local one', async () => {
    const project = paired.project({ 'a/b/file': '' });
    const inside = await project.client.rmtx(['exec', '--', 'pwd'], { cwd: project.path('a/b') });
    assert.match(inside.text, /\/a\/b\n$/);
    mkdirSync(project.path('empty/new'), { recursive: true });
    const made = await project.exec(['pwd'], { flags: ['--cwd', 'empty/new'] });
    assert.match(made.text, /\/empty\/new\n$/);
  });

  test('builds the environment: base, forwarded, --env, RMTX_*', async () => {
    const project = paired.project({}, { env: { forward: ['WANTED', 'CI_*'] } });
    const script = 'console.log(JSON.stringify(process.env))';
    const result = await project.exec([process.execPath, '-e', script], {
      flags: ['--env', 'GIVEN=1', '--env', 'TAKEN'],
      env: { WANTED: 'yes', CI_JOB: '7', SECRET: 'no', TAKEN: 'here' },
    });
    const env = JSON.parse(result.text) as Record<string, string>;
    assert.equal(env['WANTED'], 'yes');
    assert.equal(env['CI_JOB'], '7');
    assert.equal(env['GIVEN'], '1');
    assert.equal(env['TAKEN'], 'here');
    assert.equal(env['SECRET'], undefined);
    assert.equal(env['RMTX'], '1');
    assert.equal(env['RMTX_RUNNER'], 'host');
    for (const name of [
      'RMTX_WORKSPACE',
      'RMTX_CONTEXT_ID',
      'RMTX_RUN_ID',
      'RMTX_CPU_COUNT',
      'RMTX_MEMORY_AVAILABLE_BYTES',
      'PATH',
      'HOME',
    ])
      assert.ok(env[name], name);
    assert.equal(env['RMTX_STATE_DIR'], undefined);
  });

  test('keeps modes, links, empty directories, odd names and mtimes both ways', async () => {
    const project = paired.project({
      'run.sh': '#!/bin/sh\necho ran\n',
      'empty/': '',
      'name ': 'space',
      'new\nline': 'x',
    });
    chmodSync(project.path('run.sh'), 0o755);
    symlinkSync('run.sh', project.path('link'));
    utimesSync(project.path('run.sh'), 1.5e9, 1.5e9);
    const result = await project.sh(
      './link && test -d empty && cat "name " && stat -c %Y run.sh && ln -s nowhere dangling && mkdir -p made/empty && chmod 700 made && printf "#!/bin/sh\\n" > tool && chmod 755 tool',
    );
    assert.equal(result.code, 0, result.stderr);
    assert.equal(result.text, 'ran\nspace1500000000\n');
    assert.equal(readlinkSync(project.path('dangling')), 'nowhere');
    assert.ok(lstatSync(project.path('made/empty')).isDirectory());
    assert.equal(lstatSync(project.path('made')).mode & 0o777, 0o700);
    assert.equal(lstatSync(project.path('tool')).mode & 0o777, 0o755);
    assert.equal(lstatSync(project.path('run.sh')).mtimeMs, 1.5e12);
  });

  test('names that are not UTF-8 survive the way there and back', async () => {
    const project = paired.project();
    const made = await project.sh(`printf x > "$(printf 'bad\\377name')"`);
    assert.equal(made.code, 0, made.stderr);
    const seen = await project.sh(`rm "$(printf 'bad\\377name')" && ls`);
    assert.equal(seen.code, 0, seen.stderr);
    assert.equal(seen.text, '');
  });

  test('a project root that is itself a link works', async () => {
    const project = paired.project({ 'file.txt': 'content' });
    const link = `${project.root}-link`;
    symlinkSync(project.root, link);
    const result = await project.client.rmtx(['exec', '--', 'cat', 'file.txt'], { cwd: link });
    assert.equal(result.text, 'content');
  });
});

describe('streams', () => {
  test('every byte of stdout and stderr arrives, in order', async () => {
    const project = paired.project();
    for (const size of [0, 1, 65_536, 65_537, 20_000_000]) {
      const script = `const {createHash}=require('crypto');const b=require('crypto').randomBytes(${size});process.stdout.write(b);process.stderr.write(createHash('sha256').update(b).digest('hex'))`;
      const result = await project.exec([process.execPath, '-e', script]);
      assert.equal(result.code, 0);
      assert.equal(result.stdout.length, size);
      assert.equal(createHash('sha256').update(result.stdout).digest('hex'), result.stderr);
    }
  });

  test('stdin as bytes, as nothing, as more than the command reads', async () => {
    const project = paired.project();
    const bytes = randomBytes(3_000_000);
    const echoed = await project.exec(['cat'], { stdin: bytes });
    assert.ok(echoed.stdout.equals(bytes));
    assert.equal((await project.exec(['cat'])).text, '');
    const partial = await project.exec(['head', '-c', '3'], { stdin: bytes });
    assert.equal(partial.code, 0, partial.stderr);
    assert.ok(partial.stdout.equals(bytes.subarray(0, 3)));
    const none = await project.exec(['cat'], { stdin: 'ignored', flags: ['-n'] });
    assert.equal(none.text, '');
  });

  test('an open stdin that nobody writes to does not keep rmtx alive', async () => {
    const project = paired.project();
    const running = project.client.start(['exec', '--', 'true'], {
      cwd: project.root,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    assert.equal((await running.ended).code, 0);
  });

  test('an endless stdin ends with the command, whose changes still come home', async () => {
    const project = paired.project();
    const script = `yes | "${process.execPath}" "$RMTX" exec -- sh -c 'head -n1; echo done > done.txt'`;
    const running = project.client.rig.start([], {
      home: project.client.home,
      cwd: project.root,
      wrap: ['sh', '-c', script],
      env: { RMTX: require.resolve('../../../bin/rmtx.js') },
    });
    const result = await running.ended;
    assert.deepEqual([result.code, result.text], [0, 'y\n'], result.stderr);
    assert.equal(readFileSync(project.path('done.txt'), 'utf8'), 'done\n');
  });

  test('a reader that goes away ends the command with SIGPIPE, and its changes come home', async () => {
    const project = paired.project();
    const running = project.client.start(
      ['exec', '--', 'sh', '-c', 'trap "" PIPE; yes; echo "yes: $?" > status.txt; exit 9'],
      { cwd: project.root, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    const stdout = running.child.stdout;
    assert.ok(stdout);
    await once(stdout, 'data');
    stdout.destroy();
    assert.equal((await running.ended).code, 9, running.stderr);
    assert.match(readFileSync(project.path('status.txt'), 'utf8'), /yes: /);
    const plain = project.client.start(['exec', '--', 'yes'], {
      cwd: project.root,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    assert.ok(plain.child.stdout);
    await once(plain.child.stdout, 'data');
    plain.child.stdout.destroy();
    assert.equal((await plain.ended).code, 141, plain.stderr);
  });
});
