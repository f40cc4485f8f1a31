import assert from 'node:assert/strict';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { PairedRig } from '../support/paired-rig.js';
import { Rig } from '../support/rig.js';
import type { Result } from '../support/rig.js';

const paired = new PairedRig();

type Json = Record<string, unknown>;

/** The one object on stderr that `--json` turns a failure into. */
function jsonError(result: Result): Json {
  const document = JSON.parse(result.stderr) as { error: Json };
  assert.equal(result.stderr.trimEnd().split('\n').length, 1);
  assert.deepEqual(Object.keys(document), ['error']);
  return document.error;
}

function jsonLines(text: string): Json[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Json);
}

describe('wrong usage', () => {
  test('ends with 2, prints nothing on stdout and names the nearest', async () => {
    await using rig = new Rig();
    const client = rig.client();
    const cases: [string[], RegExp][] = [
      [['exce', '--', 'true'], /did you mean rmtx exec\?/],
      [['make'], /rmtx exec -- CMD/],
      [['host', 'pair-cod'], /did you mean rmtx host pair-code\?/],
      [['host', 'clients', 'revok', 'x'], /did you mean rmtx host clients revoke\?/],
      [['context', 'remove'], /one of: list, delete, prune/],
      [['config'], /one of: check, show/],
      [['exec', '--timout', '5s', '--', 'true'], /no flag --timout[^]*did you mean --timeout\?/],
      [['exec', '--timeout', '5', '--', 'true'], /5 is not a time/],
      [['exec', '--timeout'], /--timeout needs a value/],
      [['exec', '--timeout', '0s', '--', 'true'], /--timeout/],
      [['exec', '-x', '--', 'true'], /no flag -x[^]*rmtx help exec/],
      [['exec', '--json=yes', '--', 'true'], /--json takes no value/],
      [['exec'], /no command to run/],
      [['exec', '--env', '=x', '--', 'true'], /--env needs a name/],
      [['exec', '--env', 'NOT_SET_HERE', '--', 'true'], /NOT_SET_HERE: it is not set here/],
      [['exec', '--report', '/no/such/dir/file', '--', 'true'], /--report .*ENOENT/],
      [['exec', '--report', '/', '--', 'true'], /--report \/ cannot be written \(EISDIR\)/],
      [['exec', '--timeout', '99999999d', '--', 'true'], /--timeout 99999999d is too long[^]*24d/],
      [['exec', '--disconnect-grace', '25d', '--', 'true'], /--disconnect-grace 25d is too long/],
      [['ping', '--discovery-timeout', '25d'], /--discovery-timeout 25d is too long/],
      [['exec', '--label', 'x'.repeat(201), '--', 'true'], /--label is longer than 200/],
      [['cancel', ''], /an argument is empty[^]*usage: rmtx cancel RUN/],
      [['ping', 'me'], /me is one argument too many/],
      [['--verbose', 'ping'], /flags follow the command/],
      [['host', '--listen', ':99999'], /:99999 is not an address/],
      [['host', '--listen', ':x'], /:x is not an address/],
    ];
    for (const [args, says] of cases) {
      const result = await client.rmtx(args);
      assert.equal(result.code, 2, `${args.join(' ')}: ${result.stderr}`);
      assert.equal(result.text, '');
      assert.match(result.stderr, /^rmtx: error: /);
      assert.match(result.stderr, says);
    }
    const bare = await client.rmtx([]);
    assert.deepEqual([bare.code, bare.text], [2, '']);
    assert.match(bare.stderr, /^Run a command on a spare machine/);
  });

  test('is an object with --json, wherever that stands', async () => {
    await using rig = new Rig();
    const client = rig.client();
    for (const [args, code] of [
      [['exce', '--json'], 'ERR_RMTX_UNKNOWN_COMMAND'],
      [['exec', '--json', '--timout', '1s', '--', 'true'], 'ERR_RMTX_BAD_FLAG'],
      [['exec', '--json'], 'ERR_RMTX_MISSING_COMMAND'],
    ] as const) {
      const result = await client.rmtx(args);
      assert.equal(result.code, 2);
      const error = jsonError(result);
      assert.equal(error['code'], code);
      assert.ok(typeof error['message'] === 'string' && typeof error['hint'] === 'string');
    }
    // The command's own flag is not ours.
    const own = await client.rmtx(['exec', '--', 'true', '--json']);
    assert.match(own.stderr, /^rmtx: error: /);
  });
});

describe('a place where rmtx cannot work', () => {
  test('is named in one line, with what to do', async () => {
    await using rig = new Rig();
    const client = rig.client();
    const file = path.join(rig.newDirectory('places'), 'file');
    writeFileSync(file, '');
    const cases: [string[], Record<string, string>, number, RegExp][] = [
      [['hosts'], { RMTX_HOME: file }, 1, /file is not a directory\n.*RMTX_HOME/],
      [['exec', '--', 'true'], { RMTX_HOME: file }, 125, /file is not a directory/],
      [['host', 'status'], { RMTX_STATE_DIR: file }, 1, /state directory .*file is not/],
      [['hosts'], { RMTX_HOME: '/proc/no/home' }, 1, /(ENOENT|EROFS|EACCES).*'\/proc/],
      [['host', 'status'], { RMTX_STATE_DIR: '/proc/none' }, 1, /(ENOENT|EROFS|EACCES).*'\/proc/],
      [['host', '--listen', '127.0.0.1:0'], { RMTX_STATE_DIR: file }, 1, /state directory/],
      [['host', '--listen', '192.0.2.1:0'], {}, 1, /cannot listen on 192\.0\.2\.1:0: this machine/],
    ];
    for (const [args, env, code, says] of cases) {
      const result = await client.rmtx(args, { env: { RMTX_STATE_DIR: `${file}-state`, ...env } });
      assert.equal(result.code, code, result.stderr);
      assert.match(result.stderr, says);
      assert.equal(result.stderr.match(/^rmtx: error: /gm)?.length, 1);
      assert.doesNotMatch(result.stderr, /^ {4}at /m);
    }
    const gone = rig.newDirectory('gone');
    const wrap = ['sh', '-c', `rmdir '${gone}'; exec "$0" "$@"`];
    const lost = await client.start(['exec', '--', 'true'], { cwd: gone, wrap }).ended;
    assert.equal(lost.code, 125);
    assert.match(lost.stderr, /^rmtx: error: the working directory does not exist any more\n/);
  });
});

describe('version and help', () => {
  test('say what they are asked, on stdout', async () => {
    await using rig = new Rig();
    const client = rig.client();
    const { version } = JSON.parse(
      readFileSync(path.resolve(__dirname, '../../../package.json'), 'utf8'),
    ) as { version: string };
    for (const word of ['version', '--version', '-V', '-v'])
      assert.equal((await client.rmtx([word])).text, `rmtx ${version}\n`);
    const document = JSON.parse((await client.rmtx(['version', '--json'])).text) as Json;
    assert.equal(document['version'], version);
    for (const args of [['help'], ['--help'], ['-h']])
      assert.match((await client.rmtx(args)).text, /^ +rmtx exec +Run a command on the host/m);
    const help = await client.rmtx(['exec', '--help']);
    assert.equal(help.code, 0);
    assert.match(help.text, /^Usage:\n {2}\$ rmtx exec \[flags\] \[--\] CMD/m);
    assert.match(help.text, /--timeout <TIME>/);
    assert.equal((await client.rmtx(['help', 'exec'])).text, help.text);
    assert.match((await client.rmtx(['help', 'exit-codes'])).text, /^ +122 /m);
    assert.match(
      (await client.rmtx(['host', 'clients', '--help'])).text,
      /rmtx host clients rename/,
    );
    const unknown = await client.rmtx(['help', 'exce']);
    assert.equal(unknown.code, 2);
    assert.match(unknown.stderr, /did you mean rmtx help exec\?/);
    // Nothing of all this needs a state directory.
    assert.deepEqual(readdirSync(client.home), []);
  });
});

describe('config', () => {
  test('check names file, line and key of what is wrong', async () => {
    const project = paired.project();
    const { client } = project;
    const check = (...flags: string[]): Promise<Result> =>
      client.rmtx(['config', 'check', ...flags], { cwd: project.root });
    const file = project.path('.rmtx.json');
    assert.equal((await check()).text, `ok\t${file}\n`);
    const valid = JSON.parse((await check('--json')).text) as Json;
    assert.deepEqual([valid['valid'], valid['project_root']], [true, project.root]);
    const bad: [string, RegExp][] = [
      [
        '{\n  "version": 1,\n  "ignroe": []\n}',
        /\.rmtx\.json:3: ignroe: unknown key[^]*did you mean "ignore"\?/,
      ],
      ['{\n  "version": 1,\n  "ignore": "x"\n}', /\.rmtx\.json:3: ignore/],
      ['{ "version": 2 }', /\.rmtx\.json:1: version/],
      ['{ "version": 1,,\n', /\.rmtx\.json:1/],
      ['{ "version": 1, "mounts": [{ "path": ".." }] }', /mounts.*\.\./],
    ];
    for (const [text, says] of bad) {
      writeFileSync(file, text);
      const result = await check();
      assert.equal(result.code, 1, text);
      assert.match(result.stderr, says);
      assert.match(String(jsonError(await check('--json'))['code']), /^ERR_RMTX_CONFIG_/);
      const exec = await project.exec(['true']);
      assert.equal(exec.code, 125, 'bad config is a failure of rmtx itself');
    }
    const nowhere = await client.rmtx(['config', 'check'], {
      cwd: paired.rig.newDirectory('empty'),
    });
    assert.equal(nowhere.code, 1);
    assert.match(nowhere.stderr, /no \.rmtx\.json in [^]*hint: .*rmtx init/);
    const exec = await client.rmtx(['exec', '--', 'true'], {
      cwd: paired.rig.newDirectory('empty'),
    });
    assert.equal(exec.code, 125);
    assert.match(exec.stderr, /no \.rmtx\.json in [^]*hint: .*rmtx init/);
  });

  test('show tells each value, and where it comes from', async () => {
    const project = paired.project({
      '.rmtx.json': '// shared\n{\n  "version": 1,\n  "ignore": ["a/**"],\n  "host": "one:1"\n}\n',
      '.rmtx.local.json': '{\n\n  "host": "two:2"\n}\n',
    });
    const show = (...flags: string[]): Promise<Result> =>
      project.client.rmtx(['config', 'show', ...flags], { cwd: project.root });
    assert.match((await show()).text, /^KEY +VALUE\n/);
    const origins = (await show('--origin')).text;
    assert.match(origins, /^KEY +ORIGIN +VALUE\n/);
    assert.match(origins, /^host +\S*\.rmtx\.local\.json:3 +two:2$/m);
    assert.match(origins, /^ignore +\S*\.rmtx\.json:4 +\["a\/\*\*"\]$/m);
    assert.match(origins, /^ignore_gitignore +default +false$/m);
    const { values } = JSON.parse((await show('--json')).text) as { values: Json[] };
    const host = values.find(({ key }) => key === 'host');
    assert.deepEqual(host, {
      key: 'host',
      value: 'two:2',
      origin: { kind: 'file', file: project.path('.rmtx.local.json'), line: 3 },
    });
  });
});

describe('exec in data', () => {
  test('--json streams what happens, the output in it, and ends with the report', async () => {
    const project = paired.project({ 'old.txt': 'x' });
    const script =
      'printf one; printf "\\377two" >&2; printf three; echo made > made.txt; rm old.txt; exit 3';
    const result = await project.sh(script, { flags: ['--json', '--label', 'nightly'] });
    assert.equal(result.code, 3);
    assert.equal(result.stderr, '');
    const lines = jsonLines(result.text);
    const of = (type: string): Json[] => lines.filter((line) => line['type'] === type);
    const output = (stream: string): string => {
      let length = 0;
      const parts = of('output')
        .filter((line) => line['stream'] === stream)
        .map((line) => {
          const bytes = Buffer.from(String(line['data_b64']), 'base64');
          assert.equal(line['offset'], length);
          length += bytes.length;
          return bytes;
        });
      return Buffer.concat(parts).toString('latin1');
    };
    assert.deepEqual([output('stdout'), output('stderr')], ['onethree', '\u00fftwo']);
    const [run] = of('run');
    assert.match(String(run?.['run_id']), /^r[0-9a-z]{16}$/);
    assert.deepEqual([run?.['host'], run?.['is_cold'], run?.['slot']], ['box', true, 0]);
    assert.deepEqual(
      of('step')
        .filter((line) => line['state'] === 'end')
        .map((line) => line['step'])
        .sort(),
      ['connect', 'run', 'scan', 'sync-back', 'upload'],
    );
    assert.deepEqual(of('exit'), [{ type: 'exit', outcome: { kind: 'exited', code: 3 } }]);
    const report = lines.at(-1);
    assert.equal(report?.['type'], 'report');
    assert.equal(report['run_id'], run?.['run_id']);
    assert.deepEqual([report['exit_code'], report['label'], report['error']], [3, 'nightly', null]);
    assert.deepEqual(report['changed'], [{ path: 'made.txt' }]);
    assert.deepEqual(report['deleted'], [{ path: 'old.txt' }]);
  });

  test('--report writes one document, whatever comes of the run', async () => {
    await using rig = new Rig();
    const project = await rig.project();
    const file = path.join(rig.directory, 'report.json');
    const report = async (script: string, ...flags: string[]): Promise<Json> => {
      await project.sh(script, { flags: ['--report', file, ...flags] });
      return JSON.parse(readFileSync(file, 'utf8')) as Json;
    };
    const good = await report(`printf 'x%s' > "$(printf 'b\\377d')"; echo out`);
    assert.deepEqual(Object.keys(good), [
      'command',
      'label',
      'host',
      'address',
      'started_at',
      'ended_at',
      'runner',
      'run_id',
      'outcome',
      'exit_code',
      'signal',
      'duration_ms',
      'uploaded_bytes',
      'downloaded_bytes',
      'changed',
      'deleted',
      'conflicts',
      'problems',
      'ignored_leftovers',
      'error',
    ]);
    assert.deepEqual(good['changed'], [
      { path_b64: Buffer.from('b\xffd', 'latin1').toString('base64') },
    ]);
    assert.deepEqual([good['host'], good['address']], ['box', project.host.address]);
    const killed = await report('kill -9 $$');
    assert.deepEqual([killed['exit_code'], killed['signal']], [137, 'SIGKILL']);
    const late = await report('sleep 100', '--timeout', '200ms');
    assert.deepEqual([late['exit_code'], late['outcome']], [124, { kind: 'timed-out' }]);
    await project.host.stop();
    const failed = await report('true');
    assert.deepEqual([failed['exit_code'], failed['run_id'], failed['outcome']], [125, null, null]);
    assert.equal((failed['error'] as Json)['code'], 'ERR_RMTX_HOST_UNREACHABLE');
    writeFileSync(project.path('.rmtx.json'), '{');
    const unread = await report('true');
    assert.equal((unread['error'] as Json)['code'], 'ERR_RMTX_CONFIG_INVALID');
  });

  test('a failure of rmtx itself is 125, with one object on stderr', async () => {
    await using rig = new Rig();
    const project = await rig.project();
    await project.host.stop();
    const result = await project.exec(['true'], { flags: ['--json'] });
    assert.equal(result.code, 125);
    assert.equal(jsonError(result)['code'], 'ERR_RMTX_HOST_UNREACHABLE');
    assert.equal(jsonLines(result.text).at(-1)?.['type'], 'report');
  });

  test('a config that asks for an image runs nothing on the bare host', async () => {
    await using rig = new Rig();
    const host = await rig.host();
    const client = rig.pairedClient(host);
    const config = { runtime: { type: 'oci', image: 'ubuntu' } };
    const project = client.project({}, { config, host });
    const result = await project.sh('touch ran');
    assert.equal(result.code, 125);
    assert.match(result.stderr, /\.rmtx\.json asks for an image/);
    assert.equal(project.has('ran'), false);
  });

  test('--dry-run says what would be sent and runs nothing', async () => {
    await using rig = new Rig();
    const project = await rig.project({ 'a/big': 'x'.repeat(5000), small: 'y' });
    await project.host.stop();
    const text = await project.exec(['touch', 'ran'], { flags: ['--dry-run'] });
    assert.equal(text.code, 0, text.stderr);
    assert.match(text.text, /^command +touch ran$/m);
    assert.match(text.text, /^files +3 files, /m);
    assert.match(text.text, /^largest +a 5kB/m);
    const document = await project.exec(['touch', 'ran'], { flags: ['--dry-run', '--json'] });
    const { files, largest_folders } = JSON.parse(document.text) as Json;
    assert.equal(files, 3);
    assert.deepEqual((largest_folders as Json[])[0], { path: 'a', bytes: 5000 });
    assert.equal(project.has('ran'), false);
  });
});

describe('exec in words', () => {
  test('-v tells the steps, the host and why it; -q only errors', async () => {
    const project = paired.project({ file: 'x' });
    const loud = await project.exec(['echo', 'out'], { flags: ['-v'] });
    assert.equal(loud.text, 'out\n');
    for (const says of [
      /^rmtx: host chosen by: host in .*\.rmtx\.json$/m,
      /^rmtx: scanned in \d+/m,
      /^rmtx: connected in \d+/m,
      /^rmtx: run r[0-9a-z]{16} on box \(127\.0\.0\.1:\d+\), cold workspace \//m,
      /^rmtx: exit code 0 after \d+/m,
    ])
      assert.match(loud.stderr, says);
    const quiet = await project.sh('(setsid sleep 77 &) ; exit 5', { flags: ['-q'] });
    assert.deepEqual([quiet.code, quiet.stderr], [5, '']);
    const failing = await project.exec(['no-such-command'], { flags: ['-q'] });
    assert.match(failing.stderr, /^rmtx: error: command not found on the host: no-such-command/);
  });
});
