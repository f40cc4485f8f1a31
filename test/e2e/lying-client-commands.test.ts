/** A paired client whose command is none, does not let go, or tampers with its own workspace. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { CHANNEL } from '../../src/protocol/messages.js';
import { directoryEntry, symlinkEntry } from '../support/entries.js';
import { LyingClient } from '../support/lying-client.js';
import type { LyingRun } from '../support/lying-client.js';
import { file, ordered } from '../support/lying-entries.js';
import { Scene, assertRefused, untilNoRuns, upload } from '../support/lying-scene.js';
import type { Lie } from '../support/lying-scene.js';
import { memoryOf } from '../support/memory.js';

describe('a command', () => {
  const started =
    (command: readonly string[], lies: Parameters<LyingRun['start']>[1] = {}): Lie =>
    async (run) => {
      await run.untilUploaded({ plain: 'x' });
      run.start(command, lies);
      await run.ending();
    };
  const raw =
    (lies: object): Lie =>
    async (run) => {
      await run.untilUploaded();
      run.sayRaw({
        type: 'start',
        command: ['true'],
        cwd: '',
        env: {},
        has_stdin: false,
        timeout_ms: null,
        wants_sync_back: true,
        clock_offset_us: 0,
        is_detached: false,
        ...lies,
      });
      await run.ending();
    };

  test('that cannot be one is refused', async () => {
    await using scene = await Scene.create();
    const in_ = (cwd: string): Lie => started(['true'], { cwd });
    const env = (...pairs: [string, string][]): Lie => started(['true'], { env: new Map(pairs) });
    await assertRefused(scene, {
      'no command': ['MISSING_COMMAND', started([])],
      'a NUL in it': ['COMMAND_NOT_UNICODE', started(['echo', 'a\0b'])],
      'half a character in it': ['COMMAND_NOT_UNICODE', started(['echo', '\ud800'])],
      'a command that is a text': ['BAD_MESSAGE', raw({ command: 'true' })],
      'a hundred thousand and one arguments': [
        'closed',
        raw({ command: Array.from({ length: 100_001 }, () => '') }),
      ],
      'an environment that is a list': ['BAD_MESSAGE', raw({ env: ['A=1'] })],
      'an environment of numbers': ['BAD_MESSAGE', raw({ env: { A: 1 } })],
      'ten thousand and one variables': [
        'BAD_MESSAGE',
        raw({ env: Object.fromEntries(Array.from({ length: 10_001 }, (_, n) => [`V${n}`, ''])) }),
      ],
      'a variable without a name': ['BAD_ARGUMENT', env(['', 'x'])],
      'a variable with = in its name': ['BAD_ARGUMENT', env(['A=B', 'x'])],
      'a variable with a NUL': ['COMMAND_NOT_UNICODE', env(['A', 'x\0y'])],
      'a directory above': ['PATH_INVALID', in_('..')],
      'a directory far above': ['PATH_INVALID', in_('a/../../../..')],
      'an absolute directory': ['PATH_INVALID', in_('/etc')],
      'a directory with a NUL': ['PATH_INVALID', in_('a\0b')],
      'a file as directory': ['PATH_ESCAPES_ROOT', in_('plain')],
      'a directory below a file': ['PATH_ESCAPES_ROOT', in_('plain/x')],
      'a timeout of nothing': ['BAD_MESSAGE', raw({ timeout_ms: 0 })],
      'a timeout before now': ['BAD_MESSAGE', raw({ timeout_ms: -1 })],
      'a timeout beyond time': ['BAD_MESSAGE', raw({ timeout_ms: 1e300 })],
      'a clock that is no number': ['BAD_MESSAGE', raw({ clock_offset_us: 'now' })],
    });
  });

  test('finds no way out of its workspace through a link in its directory', async () => {
    await using scene = await Scene.create();
    const run = await scene.liar.connect();
    await run.open();
    run.sendRules();
    run.sendEntries([symlinkEntry('link', scene.outside)]);
    await run.next('blobs_wanted');
    run.start(['touch', 'x'], { cwd: 'link/new' });
    assert.equal(await run.ending(), 'ERR_RMTX_PATH_ESCAPES_ROOT');
    await scene.assertUnhurt('cwd through a link');
  });

  test('gets what the client gives it, and nothing of the host', async () => {
    await using scene = await Scene.create();
    const run = await scene.liar.connect();
    await run.untilUploaded();
    const env = new Map([
      ['__proto__', 'p'],
      ['constructor', 'c'],
      ['RMTX_RUN_ID', 'forged'],
      ['RMTX_WORKSPACE', '/'],
      ['RMTX', '0'],
      ['GIVEN', 'line\nbreak'],
    ]);
    run.start(
      [process.execPath, '-e', 'console.log(JSON.stringify(Object.entries(process.env)))'],
      { env },
    );
    const printed = (await run.read(CHANNEL.stdout)).toString();
    const got = new Map(JSON.parse(printed) as [string, string][]);
    assert.equal(got.get('__proto__'), 'p');
    assert.equal(got.get('constructor'), 'c');
    assert.equal(got.get('GIVEN'), 'line\nbreak');
    assert.equal(got.get('RMTX_RUN_ID'), run.id);
    assert.equal(got.get('RMTX'), '1');
    assert.notEqual(got.get('RMTX_WORKSPACE'), '/');
    for (const name of ['RMTX_HOME', 'RMTX_STATE_DIR', 'NODE_OPTIONS'])
      assert.equal(got.has(name), false);
    run.connection.destroy();
  });

  test('with a clock that is wrong by ages still brings its changes home', async () => {
    await using scene = await Scene.create();
    for (const clockOffsetUs of [Number.MAX_SAFE_INTEGER, -Number.MAX_SAFE_INTEGER, 1e15]) {
      const run = await scene.liar.connect();
      await run.untilUploaded();
      run.start(['touch', 'made'], { clockOffsetUs });
      await run.exited();
      const { changes } = await run.next('change_set');
      assert.equal(changes, 1, String(clockOffsetUs));
      run.connection.destroy();
    }
    await scene.assertUnhurt('clock');
  });

  test('whose client never reads is held back, and costs the host no memory', async () => {
    await using scene = await Scene.create();
    const before = memoryOf(scene.host);
    const runs: LyingRun[] = [];
    for (const how of ['no credit', 'no reading', 'endless credit and no reading']) {
      const run = await scene.liar.connect();
      await run.untilStarted(['sh', '-c', 'echo $$ >&2; exec head -c 4G /dev/zero']);
      if (how !== 'no credit') run.connection.openReceive(CHANNEL.stdout);
      if (how.startsWith('endless'))
        for (let count = 0; count < 100; count++)
          run.socket.write(Buffer.of(0, 0, 0, 7, 3, 0, CHANNEL.stdout, 0xff, 0xff, 0xff, 0xff));
      if (how !== 'no credit') run.socket.pause();
      runs.push(run);
    }
    // Long enough for gigabytes, were they not held back.
    for (let round = 0; round < 5; round++) await scene.assertUnhurt('not read');
    const used = memoryOf(scene.host).peakMb - before.peakMb;
    assert.ok(used < 250, `${used} MB`);
    const spooled = Number(
      execFileSync('du', ['-sm', path.join(scene.host.stateDirectory, 'runs')])
        .toString()
        .split('\t')[0],
    );
    assert.ok(spooled < 100, `${spooled} MB`);
    for (const run of runs) run.connection.destroy();
  });

  test('ends with its client where that wanted it so, and when its client is revoked', async () => {
    await using scene = await Scene.create();
    for (const how of ['destroyed', 'ended', 'revoked', 'lost before the start'] as const) {
      const client = LyingClient.paired(scene.rig, scene.host);
      const run = await client.connect();
      await run.untilUploaded({ a: 'x' });
      run.start(['sh', '-c', 'echo $$; exec sleep 1000'], {
        disconnectGraceMs: how === 'revoked' ? undefined : 0,
      });
      if (how === 'lost before the start') {
        run.connection.destroy();
      } else {
        const pid = Number((await firstPiece(run, CHANNEL.stdout)).toString());
        if (how === 'destroyed') run.connection.destroy();
        else if (how === 'ended') run.socket.end();
        else {
          const revoked = await scene.host.admin('clients', 'revoke', client.id);
          assert.equal(revoked.code, 0, revoked.stderr);
          assert.match(await run.ending(), /closed|CONNECTION_LOST/);
          const again = await client.connect();
          again.hello();
          assert.equal(await again.ending(), 'ERR_RMTX_NOT_PAIRED');
        }
        await untilGone(pid);
      }
      await untilNoRuns(scene.host);
      await scene.assertUnhurt(how);
    }
  });

  test('that puts links where its workspace was leads the host nowhere', async () => {
    await using scene = await Scene.create();
    const key = { context_key: 'cd'.repeat(16) };
    const scripts = [
      `rm -r dir && ln -s ${scene.outside} dir`,
      `mv dir gone && ln -s ${scene.outside} dir && ln -s ${scene.outside}/secret a`,
      `ln -s ${scene.outside} junk && mkdir -p d/e && ln -s ${scene.outside} d/e/f && chmod 0 d/e`,
      `ln -s / root && rm -rf dir/b && ln -s ${scene.outside}/secret dir/b`,
      `ln ${scene.outside}/secret hard && rm dir/b && ln ${scene.outside}/secret dir/b`,
      `cd .. && rm -r 0 && ln -s ${scene.outside} 0`,
      `mkfifo pipe dir/fifo && rm -f dir/b && mkfifo dir/b`,
    ];
    for (const script of scripts)
      for (const end of ['applied', 'discard', 'gone'] as const) {
        const entries = ordered([directoryEntry('dir'), file('dir/b', end), file('z', script)]);
        const run = await scene.liar.connect();
        await run.open(key);
        run.sendRules();
        run.sendEntries(entries);
        await upload(run, end, script);
        run.start(['sh', '-c', script]);
        await run.exited();
        if (end !== 'gone') {
          const { changes } = await run.next('change_set');
          if (changes > 0) {
            await run.read(CHANNEL.changes);
            run.connection.openSend(CHANNEL.resultRequests).end();
            await run.read(CHANNEL.resultBlobs);
          }
          run.say({ type: end });
          await run.next('acknowledged');
        }
        run.connection.destroy();
        await untilNoRuns(scene.host);
        await scene.assertUnhurt(`${script}: ${end}`);
      }
  });
});

async function firstPiece(run: LyingRun, channel: number): Promise<Buffer> {
  for await (const piece of run.connection.openReceive(channel)) return Buffer.from(piece);
  return Buffer.alloc(0);
}

async function untilGone(pid: number): Promise<void> {
  assert.ok(pid > 0);
  while (existsSync(`/proc/${pid}`)) await new Promise((resolve) => setTimeout(resolve, 20));
}
