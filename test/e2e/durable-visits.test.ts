/** A run belongs to the host: its client's connections come and go, by the protocol itself. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { CHANNEL } from '../../src/protocol/messages.js';
import { Rig } from '../support/rig.js';
import { Visit, VisitingClient } from '../support/visiting-client.js';
import { codeOf, newGate, numbers, scene } from '../support/durable-scene.js';

describe('a connection that breaks', () => {
  test('costs no byte of the output and doubles none, wherever it is cut', async () => {
    await using rig = new Rig();
    const { client } = await scene(rig);
    let visit: Visit = await client.sh('seq 400000; seq 1000 >&2; touch made');
    const { id } = visit as Visit & { id: string };
    let [stdout, stderr] = ['', ''];
    for (let cut = 0; cut < 12; cut++) {
      await visit.stdout.has(1 + ((cut * 7919) % 200_000));
      await visit.cut();
      stdout += String(visit.stdout.bytes);
      stderr += String(visit.stderr.bytes);
      const back = await client.resume(id, { stdout: stdout.length, stderr: stderr.length });
      assert.deepEqual(
        [back.attached.stdoutOffset, back.attached.stderrOffset],
        [stdout.length, stderr.length],
      );
      visit = back;
    }
    assert.deepEqual((await visit.exited()).outcome, { kind: 'exited', code: 0 });
    stdout += String(visit.stdout.bytes);
    stderr += String(visit.stderr.bytes);
    assert.equal(stdout, numbers(400_000));
    assert.equal(stderr, numbers(1000));
    assert.deepEqual(await visit.result(), new Map([['made', '']]));
    await visit.settle();
    assert.equal((await client.listed(id))?.state, 'done');
  });

  test('does not stop the command: it runs on into the spool, far past what is read ahead', async () => {
    await using rig = new Rig();
    const { client } = await scene(rig);
    const gate = newGate(rig);
    const visit = await client.sh(`echo ready; ${gate.wait}; seq 900000; echo made > made`);
    await visit.stdout.has(/ready/);
    await visit.cut();
    await gate.open();
    await client.until(visit.id, 'waiting');
    const back = await client.resume(visit.id, { stdout: 6 });
    assert.equal(back.attached.state, 'waiting');
    assert.equal((await back.exited()).outcome.kind, 'exited');
    assert.equal(String(back.stdout.bytes), numbers(900_000));
    assert.deepEqual(await back.result(), new Map([['made', 'made\n']]));
    await back.settle();
  });

  test('stdin goes on at the byte, and only its end is its end', async () => {
    await using rig = new Rig();
    const { client } = await scene(rig);
    const input = Buffer.from(numbers(500_000));
    let visit: Visit = await client.sh('sleep 0.1; cat > got; echo read', { hasStdin: true });
    const { id } = visit as Visit & { id: string };
    let offset = 0;
    for (const length of [1, 300_000, 1_500_000, 0, 700_000]) {
      void visit.stdin.write(input.subarray(offset, offset + length)).catch(() => undefined);
      // Some of it is still on its way, some lies in the host unread.
      await new Promise((resolve) => setTimeout(resolve, 15));
      await visit.cut();
      const back = await client.resume(id, { stdout: 0 });
      assert.equal(back.attached.takesStdin, true);
      assert.ok(
        back.attached.stdinOffset >= offset && back.attached.stdinOffset <= offset + length,
      );
      offset = back.attached.stdinOffset;
      visit = back;
    }
    void visit.stdin.write(input.subarray(offset));
    visit.stdin.end();
    await visit.exited();
    assert.equal(String(visit.stdout.bytes), 'read\n');
    assert.equal((await visit.run.next('change_set')).changes, 1);
    const { opened } = { opened: await visit.run.read(CHANNEL.changes) };
    assert.ok(opened.includes('got'));
    await visit.cut();
    const pulled = await client.resume(id, { stdout: 5 });
    await pulled.exited();
    const { bytes } = await pulled.run.next('change_set');
    assert.equal(bytes, input.length);
    // Its content is told by its digest alone; the workspace holds it as long as the run waits here.
    const workspaces = path.join(client.host.stateDirectory, 'workspaces');
    const [context = ''] = readdirSync(workspaces);
    const got = readFileSync(path.join(workspaces, context, '0', 'got'));
    const digest = (data: Buffer): string => createHash('sha256').update(data).digest('hex');
    assert.equal(digest(got), digest(input));
    pulled.run.say({ type: 'discard' });
    await pulled.run.next('acknowledged');
  });

  test('before everything is there drops the run; its client opens it anew, on the same workspace', async () => {
    await using rig = new Rig();
    const { client } = await scene(rig);
    const first = await client.upload({ a: 'x' });
    // The host has not noticed that the first connection is dead.
    assert.equal(await codeOf(client.resume(first.id, { stdout: 0 })), 'ERR_RMTX_RUN_NOT_FOUND');
    assert.equal(await first.run.ending(), 'ERR_RMTX_RUN_TAKEN_OVER');
    const second = await client.upload({ a: 'x' }, first.id);
    assert.equal(second.opened.slot, 0);
    const third = await client.upload({ a: 'x' }, first.id);
    assert.equal(await second.run.ending(), 'ERR_RMTX_RUN_TAKEN_OVER');
    assert.equal(third.opened.slot, 0);
    const visit = new Visit(third.run);
    third.run.start(['cat', 'a']);
    await visit.exited();
    assert.equal(String(visit.stdout.bytes), 'x');
    await visit.result();
    await visit.settle();
    third.run.connection.destroy();
    assert.equal(await codeOf(client.upload({}, first.id)), 'ERR_RMTX_BAD_MESSAGE');
  });

  test('between any two words of the end leaves what was not said yet for the next visit', async () => {
    await using rig = new Rig();
    const { client } = await scene(rig);
    const script = 'echo out; echo made > made; rm old; mkdir d';
    const files = { old: 'x', same: 'y' };
    const stages: Record<string, (visit: Visit) => Promise<unknown>> = {
      started: () => Promise.resolve(),
      exited: (visit) => visit.exited(),
      'change set': async (visit) => {
        await visit.exited();
        await visit.run.next('change_set');
      },
      'some of it': async (visit) => {
        await visit.exited();
        await visit.run.next('change_set');
        await visit.run.read(CHANNEL.changes);
      },
      everything: async (visit) => {
        await visit.exited();
        await visit.result();
      },
    };
    for (const [stage, leave] of Object.entries(stages)) {
      const visit = await client.sh(script, { files });
      await leave(visit);
      await visit.cut();
      const had = visit.stdout.length;
      const back = await client.resume(visit.id, { stdout: had });
      await back.exited();
      assert.equal(back.stdout.length, 4 - had, stage);
      const result = await back.result();
      assert.deepEqual(
        [...result].sort(),
        [
          ['d', 'directory'],
          ['made', 'made\n'],
          ['old', undefined],
        ],
        stage,
      );
      // Its word arrives, and the answer is lost.
      back.run.say({ type: 'applied' });
      await back.run.connection.close();
      await client.until(visit.id, 'done');
      const last = await client.resume(visit.id, { stdout: 4 });
      assert.equal(last.attached.state, 'done');
      await last.exited();
      // The next run of the project starts from what was agreed on.
      const next = await client.sh('ls', { files: { same: 'y', made: 'made\n' } });
      assert.equal(next.opened.slot, 0, stage);
      await next.exited();
      assert.equal(String(next.stdout.bytes), 'd\nmade\nsame\n'.replace('d\n', ''), stage);
      await next.result();
      await next.settle();
    }
  });
});

describe('a visitor', () => {
  test('takes the place of another at once, whose input has ended', async () => {
    await using rig = new Rig();
    const { client } = await scene(rig);
    const first = await client.sh('cat; echo over', { hasStdin: true });
    await first.stdin.write(Buffer.from('hello\n'));
    await first.stdout.has(/hello/);
    const second = await client.attach(first.id, 'visit');
    assert.equal(second.attached.state, 'running');
    assert.deepEqual(second.attached.command, ['sh', '-c', 'cat; echo over']);
    assert.equal(second.attached.takesStdin, false);
    assert.equal(await first.run.ending(), 'ERR_RMTX_RUN_TAKEN_OVER');
    await second.exited();
    assert.equal(String(second.stdout.bytes), 'hello\nover\n');
    await second.result();
    await second.settle();
  });

  test('many at once: one of them stays, the others are told', async () => {
    await using rig = new Rig();
    const { client } = await scene(rig);
    const gate = newGate(rig);
    const first = await client.sh(`echo one; ${gate.wait}; echo two`);
    await first.stdout.has(/one/);
    const all = await Promise.all(
      Array.from({ length: 8 }, () => client.resume(first.id, { stdout: 0 })),
    );
    await gate.open();
    const ends = await Promise.all(
      [first, ...all].map((visit) =>
        Promise.race([visit.exited().then(() => 'exited'), visit.run.ending()]),
      ),
    );
    assert.equal(ends.filter((end) => end === 'exited').length, 1, ends.join());
    assert.equal(ends.filter((end) => end === 'ERR_RMTX_RUN_TAKEN_OVER').length, 8, ends.join());
    const last = all[ends.indexOf('exited') - 1];
    assert.equal(String(last?.stdout.bytes), 'one\ntwo\n');
    await last?.result();
    await last?.settle();
  });

  test('one that left before it came sends nobody away', async () => {
    await using rig = new Rig();
    const { client } = await scene(rig);
    const gate = newGate(rig);
    const visit = await client.sh(`echo one; ${gate.wait}; echo two`);
    await visit.stdout.has(/one/);
    const late = await client.connect();
    late.hello();
    late.say({
      type: 'run_attach',
      runId: visit.id,
      mode: 'resume',
      stdoutOffset: 0,
      stderrOffset: 0,
      tail: true,
    });
    late.socket.end();
    await late.connection.closed;
    await gate.open();
    await visit.exited();
    await visit.result();
    await visit.settle();
  });

  test('who only watches sees all of it, changes nothing, and may not', async () => {
    await using rig = new Rig();
    const { client } = await scene(rig);
    const gate = newGate(rig);
    const visit = await client.sh(`echo one; ${gate.wait}; seq 200000; exit 7`);
    await visit.stdout.has(/one/);
    const glance = await client.attach(visit.id, 'watch', { tail: false });
    assert.equal(String(await glance.stdout.whole), 'one\n');
    const [whole, part] = await Promise.all([
      client.attach(visit.id, 'watch'),
      client.attach(visit.id, 'watch', { stdoutOffset: 4 }),
    ]);
    const meddler = await client.attach(visit.id, 'watch');
    meddler.run.say({ type: 'stop', isForced: true });
    assert.equal(await meddler.run.ending(), 'ERR_RMTX_BAD_MESSAGE');
    await gate.open();
    assert.deepEqual((await whole.exited()).outcome, { kind: 'exited', code: 7 });
    await Promise.all([part.exited(), visit.exited()]);
    assert.equal(String(whole.stdout.bytes), `one\n${numbers(200_000)}`);
    assert.equal(String(part.stdout.bytes), numbers(200_000));
    assert.equal(String(visit.stdout.bytes), `one\n${numbers(200_000)}`);
    await visit.result();
    await visit.settle();
    const after = await client.attach(visit.id, 'watch', { tail: false });
    assert.equal(after.attached.state, 'done');
    assert.equal((await after.exited()).outcome.kind, 'exited');
  });

  test('of nobody else: another client finds no such run', async () => {
    await using rig = new Rig();
    const { host, client } = await scene(rig);
    const other = new VisitingClient(rig, host);
    const visit = await client.sh('sleep 1000');
    for (const mode of ['resume', 'visit', 'watch'] as const)
      assert.equal(await codeOf(other.attach(visit.id, mode)), 'ERR_RMTX_RUN_NOT_FOUND');
    for (const route of ['cancel', 'discard', 'forget'])
      assert.match(
        JSON.stringify(
          await other.ask(`POST /v1/runs/${route}`, { run_id: visit.id, is_forced: true }),
        ),
        /ERR_RMTX_RUN_NOT_FOUND/,
      );
    assert.deepEqual(await other.runs(), []);
    assert.equal((await client.listed(visit.id))?.state, 'running');
    visit.run.say({ type: 'stop', isForced: true });
    await visit.exited();
    assert.deepEqual(visit.run.notices, ['stopping: SIGKILL sent']);
  });

  test('who does not stay: the command has no input and runs to its end alone', async () => {
    await using rig = new Rig();
    const { client } = await scene(rig);
    const visit = await client.sh('cat; seq 300000; echo made > made', {
      isDetached: true,
      hasStdin: true,
    });
    assert.equal(await visit.run.ending(), 'closed');
    const listed = await client.until(visit.id, 'waiting');
    assert.deepEqual([listed.exit_code, listed.changes], [0, 1]);
    const back = await client.attach(visit.id, 'visit');
    await back.exited();
    assert.equal(String(back.stdout.bytes), numbers(300_000));
    assert.deepEqual(await back.result(), new Map([['made', 'made\n']]));
    await back.settle();
    const missing = await client.upload();
    missing.run.start(['no-such-command'], { isDetached: true });
    assert.equal((await missing.run.exited()).outcome.kind, 'not-found');
    await client.until(missing.id, 'done');
  });
});
