/**
 * `rmtx host install`. No systemd serves a user where tests run, so programs stand in for systemctl, loginctl
 * and journalctl; that systemd reads the unit as it is meant is in test/unit/host/autostart.test.ts.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { describe, test } from 'node:test';
import { StandInPrograms } from '../support/programs.js';
import { Rig } from '../support/rig.js';
import type { Result } from '../support/rig.js';

const SYSTEMCTL = `
case "$*" in
  *show-environment) echo LANG=C;;
  *is-active*) [ -e "$notes.active" ];;
  *--now*) : >"$notes.active";;
esac`;
const LOGINCTL = `
case "$1" in
  enable-linger) : >"$notes";;
  *) if [ -e "$notes" ]; then echo Linger=yes; else echo Linger=no; fi;;
esac`;

class Scene implements AsyncDisposable {
  readonly rig = new Rig();
  readonly programs = new StandInPrograms(this.rig.newDirectory('programs'));
  readonly home = this.rig.newDirectory('home');
  readonly unit = path.join(this.home, '.config', 'systemd', 'user', 'rmtx-host.service');

  constructor() {
    this.programs.add('systemctl', SYSTEMCTL);
    this.programs.add('loginctl', LOGINCTL);
  }

  rmtx(...args: readonly string[]): Promise<Result> {
    return this.rig.start(args, { home: this.home, env: { PATH: this.programs.path } }).ended;
  }

  install(...flags: readonly string[]): Promise<Result> {
    return this.rmtx('host', 'install', '--as-root', ...flags);
  }

  calls(name = 'systemctl'): string[] {
    return this.programs
      .calls(name)
      .map(({ args }) => args)
      .filter((args) => !/show-environment|is-active|show-user/.test(args));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.rig[Symbol.asyncDispose]();
  }
}

/** Nobody listens there at the moment. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

const DONE = ['--user daemon-reload', '--user enable --now rmtx-host.service'];

describe('host install', { concurrency: 3, skip: process.platform !== 'linux' }, () => {
  test('writes a unit that starts this very rmtx, starts it, and says what to type', async () => {
    await using scene = new Scene();
    const made = await scene.install('--name', 'my 50% box', '--listen', ':4000');
    assert.deepEqual([made.code, made.text], [0, `installed\t${scene.unit}\n`], made.stderr);
    const unit = readFileSync(scene.unit, 'utf8');
    assert.match(unit, /^# Written by rmtx host install/);
    assert.match(
      unit,
      new RegExp(
        `^ExecStart="${process.execPath}" "/[^"]*/bin/rmtx.js" "host" "--state-dir=${scene.home}/\\.local/state/rmtx" "--listen=:4000" "--name=my 50%% box"$`,
        'm',
      ),
    );
    assert.deepEqual(scene.calls(), DONE);
    assert.deepEqual(scene.calls('loginctl'), []);
    assert.match(made.stderr, /it is started, and will be by itself/);
    assert.match(made.stderr, /only while you are logged in; for always: loginctl enable-linger/);
    assert.match(made.stderr, /TCP 4000, UDP 33222, UDP 5353/);
    assert.deepEqual(readdirSync(path.dirname(scene.unit)), ['rmtx-host.service']);

    const again = await scene.install('--name', 'my 50% box', '--listen', ':4000', '--linger');
    assert.match(again.stderr, /it was installed like this already/);
    assert.doesNotMatch(again.stderr, /logged in/);
    assert.deepEqual(scene.calls('loginctl'), ['enable-linger']);
    const other = await scene.install('--json');
    const said = JSON.parse(other.text) as Record<string, unknown>;
    assert.deepEqual(
      [said['change'], said['started'], said['linger'], said['manager']],
      ['changed', true, true, 'systemd'],
    );
    assert.deepEqual(scene.calls().slice(-3), [
      '--user daemon-reload',
      '--user enable rmtx-host.service',
      '--user restart rmtx-host.service',
    ]);
  });

  test('a dry run writes nothing and runs nothing', async () => {
    await using scene = new Scene();
    const planned = await scene.rmtx('host', 'install', '--dry-run', '--name=x');
    assert.equal(planned.code, 0, planned.stderr);
    assert.match(planned.text, /^# Written by[^]*"--name=x"[^]*WantedBy=default\.target\n$/);
    assert.match(planned.stderr, /would be written to \S+rmtx-host\.service, and these be run:/);
    assert.match(planned.stderr, / {2}systemctl --user enable --now rmtx-host\.service/);
    assert.deepEqual([scene.calls(), readdirSync(scene.home)], [[], []]);
    const json = await scene.rmtx('host', 'install', '--dry-run', '--json');
    assert.equal((JSON.parse(json.text) as { started: boolean }).started, false);
  });

  test('what somebody else wrote is left alone, a link to nothing too', async () => {
    await using scene = new Scene();
    mkdirSync(path.dirname(scene.unit), { recursive: true });
    const refusals = async (): Promise<void> => {
      for (const args of [['install', '--as-root'], ['uninstall']]) {
        const refused = await scene.rmtx('host', ...args);
        assert.equal(refused.code, 1, refused.stderr);
        assert.match(refused.stderr, /rmtx-host\.service was not written by rmtx/);
      }
    };
    symlinkSync('/dev/null', scene.unit);
    await refusals();
    rmSync(scene.unit);
    writeFileSync(scene.unit, '[Service]\nExecStart=/bin/mine\n');
    await refusals();
    assert.equal(readFileSync(scene.unit, 'utf8'), '[Service]\nExecStart=/bin/mine\n');
    assert.deepEqual(scene.calls(), []);
    assert.equal((await scene.install('--force', '--no-start')).code, 0);
    assert.match(readFileSync(scene.unit, 'utf8'), /^# Written by rmtx/);
    assert.equal(scene.calls().at(-1), '--user enable rmtx-host.service');
  });

  test('where no systemd serves the user nothing is left, and another way is named', async () => {
    await using scene = new Scene();
    scene.programs.add('systemctl', 'echo "Failed to connect to bus: No medium found" >&2; exit 1');
    for (const args of [['install', '--as-root'], ['uninstall']]) {
      const failed = await scene.rmtx('host', ...args);
      assert.equal(failed.code, 1);
      assert.match(failed.stderr, /systemd does not serve this user: Failed to connect to bus/);
      assert.match(failed.stderr, /crontab -e.*@reboot \S+ \S+/);
    }
    assert.deepEqual(readdirSync(scene.home), []);
  });

  test('a step that fails is taken back', async () => {
    await using scene = new Scene();
    scene.programs.add(
      'systemctl',
      'case "$*" in *enable*) echo "no such target" >&2; exit 3;; esac',
    );
    const failed = await scene.install();
    assert.equal(failed.code, 1);
    assert.match(
      failed.stderr,
      /systemctl --user enable --now rmtx-host.service failed: no such target/,
    );
    assert.equal(existsSync(scene.unit), false);
    assert.deepEqual(scene.calls().slice(-2), [
      '--user disable --now rmtx-host.service',
      '--user daemon-reload',
    ]);
  });

  test('a refused linger is no failure, and says what to type', async () => {
    await using scene = new Scene();
    scene.programs.add('loginctl', '[ "$1" = show-user ] || { echo "Access denied" >&2; exit 1; }');
    const made = await scene.install('--linger');
    assert.equal(made.code, 0);
    assert.match(made.stderr, /\(Access denied\); for always: sudo loginctl enable-linger \w+/);
  });

  test('a host that is there already is not fought with', async () => {
    await using scene = new Scene();
    const host = await scene.rig.host();
    const made = await scene.install('--state-dir', host.stateDirectory);
    assert.equal(made.code, 0);
    assert.match(made.stderr, /not started: another host \(pid \d+\) has this state directory/);
    assert.equal(scene.calls().at(-1), '--user enable rmtx-host.service');
  });

  test('bad flags and root are refused before anything is done', async () => {
    await using scene = new Scene();
    for (const [flags, why] of [
      [['--listen', ':0'], /another port at each start/],
      [['--listen', 'a b'], /is not an address/],
      [['--service', 'A B'], /--service A B/],
    ] as const) {
      const refused = await scene.install(...flags);
      assert.deepEqual([refused.code, why.test(refused.stderr)], [2, true], refused.stderr);
    }
    if (process.getuid?.() === 0) {
      const root = await scene.rmtx('host', 'install');
      assert.equal(root.code, 1);
      assert.match(root.stderr, /this is root.*\n.*--as-root/);
    }
    assert.deepEqual([scene.calls(), readdirSync(scene.home)], [[], []]);
  });

  test('uninstall ends and removes it, twice, and keeps the state', async () => {
    await using scene = new Scene();
    await scene.install();
    const state = path.join(scene.home, '.local', 'state', 'rmtx');
    assert.ok(statSync(state).isDirectory());
    const gone = await scene.rmtx('host', 'uninstall');
    assert.deepEqual([gone.code, gone.text], [0, `uninstalled\t${scene.unit}\n`]);
    assert.ok(gone.stderr.includes(`stay in ${state}`));
    assert.deepEqual(scene.calls().slice(-2), [
      '--user disable --now rmtx-host.service',
      '--user daemon-reload',
    ]);
    assert.deepEqual([existsSync(scene.unit), existsSync(state)], [false, true]);
    const again = await scene.rmtx('host', 'uninstall', '--json');
    assert.deepEqual(
      [again.code, (JSON.parse(again.text) as { removed: unknown }).removed],
      [0, null],
    );
  });

  test('logs are shown by journalctl, with its exit code', async () => {
    await using scene = new Scene();
    scene.programs.add('journalctl', 'echo the log; exit 3');
    const none = await scene.rmtx('host', 'logs');
    assert.deepEqual([none.code, /rmtx host install/.test(none.stderr)], [1, true]);
    await scene.install('--no-start');
    const shown = await scene.rmtx('host', 'logs', '-f', '-n', '7');
    assert.deepEqual([shown.code, shown.text], [3, 'the log\n']);
    assert.deepEqual(scene.calls('journalctl'), [
      '--user --unit=rmtx-host.service --lines=7 --follow --no-pager',
    ]);
    assert.equal((await scene.rmtx('host', 'logs', '-n', 'x')).code, 2);
  });

  test('the unit that is written does serve, when it is run as systemd would', async () => {
    await using scene = new Scene();
    const address = `127.0.0.1:${await freePort()}`;
    await scene.install('--listen', address, '--no-discovery', '--no-start');
    const line = /^ExecStart=(.*)$/m.exec(readFileSync(scene.unit, 'utf8'))?.[1] ?? '';
    const [, , ...args] = [...line.matchAll(/"([^"]*)"/g)].map(([, word = '']) => word);
    const host = scene.rig.start(args, { home: scene.home });
    assert.equal((await host.says(/listening on (\S+)/))[1], address);
    host.child.kill('SIGTERM');
    assert.equal((await host.ended).code, 0);
  });
});
