import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { isRmtxError } from '../../../src/errors.js';
import { vanishesBecause } from '../../../src/host/autostart.js';
import { launchAgent } from '../../../src/host/autostart/launchd.js';
import { scheduledTask } from '../../../src/host/autostart/scheduled-task.js';
import { systemdUnit } from '../../../src/host/autostart/systemd.js';
import { scratchDirectory } from '../../support/rig.js';
import { anyText } from '../../support/any-text.js';

const GOLDEN = path.resolve(__dirname, '../../../../fixtures/autostart');
const golden = (name: string): string => readFileSync(path.join(GOLDEN, name), 'utf8');

const ODD = ['/home/ä b/50% $HOME/"rmtx"', 'host', "--name=it's a \\ box; $$", '--x=a<b&c>'];
const WINDOWS = ['C:\\Program Files\\nodejs\\node.exe', "C:\\it's\\rmtx.js", 'host', '--name=a&b'];
const ABOUT = { user: 'DESK\\me & you', logFile: 'C:\\logs\\rmtx-host.log' };

test('the unit, the launch agent and the task are what they were when they were looked at', () => {
  assert.equal(systemdUnit(['/opt/node js/$1/100%/node', ...ODD]), golden('rmtx-host.service'));
  assert.equal(launchAgent(['/usr/bin/node', ...ODD], '/Users/a&b/log'), golden('rmtx.host.plist'));
  assert.equal(scheduledTask(WINDOWS, ABOUT), golden('rmtx-host.xml'));
});

/** As systemd.syntax(7) and systemd.service(5) have it, written from there. */
function unquoteArguments(line: string): string[] {
  const words = [...line.matchAll(/"((?:[^"\\]|\\.)*)"/gs)].map(([, word = '']) => word);
  assert.equal(words.map((word) => `"${word}"`).join(' '), line);
  return words.map((word, index) =>
    word
      .replace(/\\(x[0-9a-f]{2}|.)/gs, (_, escape: string) =>
        escape.startsWith('x') ? String.fromCharCode(Number.parseInt(escape.slice(1), 16)) : escape,
      )
      .replaceAll('%%', '%')
      .replaceAll(index === 0 ? '\0' : '$$', '$'),
  );
}

const word = anyText().filter((text) => !/[\0\p{Surrogate}]/u.test(text));

test('systemd reads any words back as they were', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(word, fc.constantFrom(...ODD, '$', '$$', '%', ';', ''))),
      (args) => {
        // Only \n ends a line for systemd; for a regular expression U+2028 does, too.
        const lines = systemdUnit(['/usr/bin/node', ...args]).split('\n');
        const [, line = ''] =
          lines.find((each) => each.startsWith('ExecStart='))?.split(/=(.*)/s) ?? [];
        assert.deepEqual(unquoteArguments(line), ['/usr/bin/node', ...args]);
      },
    ),
    { numRuns: 500 },
  );
});

test('what a format cannot hold is refused', () => {
  const refuses = (make: () => string): void =>
    assert.throws(make, (error) => isRmtxError(error) && error.code === 'ERR_RMTX_BAD_ARGUMENT');
  for (const bad of ['/a"b/node', "/a'b/node", '/a\\b/node', '/a\nb/node'])
    refuses(() => systemdUnit([bad]));
  refuses(() => systemdUnit(['/node', '\ud800']));
  for (const bad of ['a\u0001', 'a\0', '\ud800']) refuses(() => launchAgent([bad], '/log'));
  for (const bad of ['%PATH%', 'a"b', 'a\n', 'C:\\dir\\'])
    refuses(() => scheduledTask([bad], ABOUT));
});

/** `systemd --test` shows the command line as it understood it. It does not run as root. */
function systemdReads(unit: string): string | undefined {
  const directory = scratchDirectory();
  try {
    const units = path.join(directory, 'config', 'systemd', 'user');
    mkdirSync(units, { recursive: true });
    mkdirSync(path.join(directory, 'run'));
    writeFileSync(path.join(units, 'rmtx-host.service'), unit);
    for (const each of [directory, path.join(directory, 'run')]) chmodSync(each, 0o777);
    const asNobody =
      process.getuid?.() === 0 ? ['--reuid=65534', '--regid=65534', '--clear-groups'] : [];
    const { stdout } = spawnSync(
      'setpriv',
      [...asNobody, '/lib/systemd/systemd', '--user', '--test', '--unit=rmtx-host.service'],
      {
        encoding: 'utf8',
        timeout: 30_000,
        env: {
          HOME: directory,
          XDG_CONFIG_HOME: path.join(directory, 'config'),
          XDG_RUNTIME_DIR: path.join(directory, 'run'),
        },
      },
    );
    return /Command Line: (.*--state-dir.*)/.exec(stdout)?.[1];
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const plain = systemdReads(systemdUnit(['/usr/bin/env', '--state-dir=/x']));

test(
  'the real systemd reads the unit as it is meant',
  { skip: plain === undefined && 'no systemd --test here' },
  () => {
    assert.equal(plain, '/usr/bin/env --state-dir=/x');
    const odd = systemdUnit([
      '/usr/bin/env',
      '--state-dir=/a b/50%/$HOME',
      'it\'s "q" \\ ü',
      ';',
      '',
    ]);
    // Variables are replaced when it is started, so they are still doubled here.
    assert.equal(
      systemdReads(odd),
      String.raw`/usr/bin/env "--state-dir=/a b/50%/\$\$HOME" "it's \"q\" \\ ü" ";" ""`,
    );
  },
);

test('systemd-analyze finds nothing to complain of', (t) => {
  const directory = scratchDirectory();
  try {
    const node = path.join(directory, 'no $de %n');
    symlinkSync(process.execPath, node);
    const unit = path.join(directory, 'rmtx-host.service');
    writeFileSync(unit, systemdUnit([node, ...ODD]));
    const env = { PATH: process.env['PATH'], HOME: directory, XDG_RUNTIME_DIR: directory };
    const verified = spawnSync('systemd-analyze', ['verify', '--user', '--man=no', unit], {
      encoding: 'utf8',
      env,
    });
    if (verified.error !== undefined) t.skip('no systemd-analyze here');
    else assert.deepEqual([verified.status, verified.stderr], [0, '']);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

const READ_PLIST =
  'import json,plistlib,sys; print(json.dumps(plistlib.loads(sys.stdin.buffer.read())))';

test('a property list reader finds the words of the agent as they were', (t) => {
  if (spawnSync('python3', ['-c', 'import plistlib']).status !== 0) {
    t.skip('no python3 here');
    return;
  }
  const args = ['', ' ', 'a]]>b', '&amp;', '<x/>', 'tab\there', ...ODD];
  const { stdout, stderr } = spawnSync('python3', ['-c', READ_PLIST], {
    input: launchAgent(args, '/l&g'),
    encoding: 'utf8',
  });
  const read = JSON.parse(stdout === '' ? stderr : stdout) as Record<string, unknown>;
  assert.deepEqual(read['ProgramArguments'], args);
  assert.equal(read['StandardErrorPath'], '/l&g');
  assert.deepEqual(read['KeepAlive'], { SuccessfulExit: false });
});

test('the task starts the words that it was given', () => {
  const xml = scheduledTask(WINDOWS, ABOUT);
  const encoded = /-EncodedCommand (\S+)<\/Arguments>/.exec(xml)?.[1] ?? '';
  assert.equal(
    Buffer.from(encoded, 'base64').toString('utf16le'),
    `exit (Start-Process -FilePath cmd.exe -ArgumentList '/d /s /c ""C:\\Program Files\\nodejs\\node.exe" "C:\\it''s\\rmtx.js" "host" "--name=a&b" >>"C:\\logs\\rmtx-host.log" 2>&1"' -WindowStyle Hidden -Wait -PassThru).ExitCode`,
  );
  assert.match(xml, /<UserId>DESK\\me &amp; you<\/UserId>/);
});

test('a program that will not stay is known by its place', () => {
  assert.match(
    vanishesBecause('/home/me/.npm/_npx/ab12/node_modules/rmtx/bin/rmtx.js') ?? '',
    /npx/,
  );
  assert.match(vanishesBecause('/tmp/x/bin/rmtx.js') ?? '', /temporary/);
  assert.match(vanishesBecause('/run/user/1000/fnm_multishells/1_2/bin/node') ?? '', /fnm/);
  for (const file of [
    '/usr/bin/node',
    '/home/me/.nvm/versions/node/v20/bin/node',
    '/tmpfiles/node',
  ])
    assert.equal(vanishesBecause(file), undefined, file);
});
