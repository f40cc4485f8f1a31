/** A run that nobody visits: what waits, what is dropped, and what the host does without its client. */
import assert from 'node:assert/strict';
import { readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { processesStart, processesWith, uniqueSeconds } from '../support/processes.js';
import { Rig } from '../support/rig.js';
import { codeOf, noProc, numbers, scene } from '../support/durable-scene.js';

describe('a run that is over and waits', () => {
  test('gives its workspace to the next run, and keeps what it changed', async () => {
    await using rig = new Rig();
    const { client } = await scene(rig);
    const files = { kept: 'kept', gone: 'gone' };
    const visit = await client.sh('echo changed > kept; rm gone; echo made > made', { files });
    await visit.cut();
    await client.until(visit.id, 'waiting');
    const next = await client.sh('cat *', { files });
    assert.deepEqual([next.opened.slot, next.opened.isCold], [0, false]);
    assert.deepEqual(next.opened.waiting, [visit.id]);
    await next.exited();
    assert.equal(String(next.stdout.bytes), 'gonekept');
    await next.result();
    await next.settle();
    // Whoever tidies up leaves it alone.
    const pruned = await client.ask('POST /v1/cache/prune', { dry_run: false });
    assert.equal(pruned['in_use'], false);
    const back = await client.attach(visit.id, 'visit');
    await back.exited();
    assert.deepEqual(
      await back.result(),
      new Map([
        ['gone', undefined],
        ['kept', 'changed\n'],
        ['made', 'made\n'],
      ]),
    );
    await back.settle();
    const last = await client.sh('cat *', { files });
    assert.deepEqual(last.opened.waiting, []);
    await last.exited();
    assert.equal(String(last.stdout.bytes), 'gonekept');
    last.run.connection.destroy();
  });

  test('outlives a host that is stopped and one that is killed', async () => {
    await using rig = new Rig();
    const { host, client } = await scene(rig);
    const visit = await client.sh('echo out; echo made > made; exit 3');
    await visit.cut();
    await client.until(visit.id, 'waiting');
    assert.equal((await host.stop()).code, 0);
    const second = await rig.host({ stateDirectory: host.stateDirectory });
    client.host = second;
    assert.equal((await client.listed(visit.id))?.state, 'waiting');
    await second.kill();
    client.host = await rig.host({ stateDirectory: host.stateDirectory });
    const back = await client.attach(visit.id, 'visit');
    assert.deepEqual((await back.exited()).outcome, { kind: 'exited', code: 3 });
    assert.equal(String(back.stdout.bytes), 'out\n');
    assert.deepEqual(await back.result(), new Map([['made', 'made\n']]));
    await back.settle();
    assert.equal((await client.listed(visit.id))?.state, 'done');
  });

  test('is dropped where its client says so, and not while it is brought home', async () => {
    await using rig = new Rig();
    const { client } = await scene(rig);
    const visit = await client.sh('echo made > made');
    const discard = (): Promise<Record<string, unknown>> =>
      client.ask('POST /v1/runs/discard', { run_id: visit.id });
    await visit.exited();
    await visit.run.next('change_set');
    assert.match(JSON.stringify(await discard()), /ERR_RMTX_CONTEXT_BUSY/);
    await visit.cut();
    const { run } = (await discard()) as { run: { state: string } };
    assert.equal(run.state, 'done');
    const back = await client.attach(visit.id, 'visit');
    assert.equal(back.attached.state, 'done');
    await back.exited();
    const files = path.join(client.host.stateDirectory, 'runs', visit.id);
    assert.deepEqual(readdirSync(files), ['record.json']);
  });

  test('is forgotten where its client says so, once nothing of it waits', async () => {
    await using rig = new Rig();
    const { client } = await scene(rig);
    const visit = await client.sh('read line; echo made > made', { hasStdin: true });
    const forget = async (): Promise<string> =>
      JSON.stringify(await client.ask('POST /v1/runs/forget', { run_id: visit.id }));
    assert.match(await forget(), /ERR_RMTX_CONTEXT_BUSY/);
    visit.stdin.end();
    await visit.exited();
    await visit.cut();
    await client.until(visit.id, 'waiting');
    assert.match(await forget(), /ERR_RMTX_CONTEXT_BUSY.*cancel --discard/);
    await client.ask('POST /v1/runs/discard', { run_id: visit.id });
    assert.match(await forget(), /"state":"done"/);
    assert.equal(await client.listed(visit.id), undefined);
    assert.deepEqual(readdirSync(path.join(client.host.stateDirectory, 'runs')), []);
    assert.match(await forget(), /ERR_RMTX_RUN_NOT_FOUND/);
  });

  test('says where its output begins when the first of it was dropped', async () => {
    await using rig = new Rig();
    const { host, client } = await scene(rig);
    const visit = await client.sh('seq 3000000; echo made > made');
    await visit.cut();
    await client.until(visit.id, 'waiting');
    await host.stop();
    const directory = path.join(host.stateDirectory, 'runs', visit.id);
    const [first = '', second = ''] = readdirSync(directory)
      .filter((name) => name.startsWith('stdout.'))
      .sort();
    rmSync(path.join(directory, first));
    client.host = await rig.host({ stateDirectory: host.stateDirectory });
    const back = await client.attach(visit.id, 'visit');
    const begin = Number.parseInt(second.slice('stdout.'.length), 16);
    assert.equal(back.attached.stdoutOffset, begin);
    await back.exited();
    assert.equal(String(back.stdout.bytes), numbers(3_000_000).slice(begin));
    const later = await client.resume(visit.id, { stdout: begin + 100 });
    assert.equal(later.attached.stdoutOffset, begin + 100);
    await later.exited();
    later.run.connection.destroy();
  });

  test('needs nobody where nothing is to be brought home', async () => {
    await using rig = new Rig();
    const { client } = await scene(rig);
    const scripts: [string, boolean][] = [
      ['echo out', true],
      ['echo out; echo made > made', false],
    ];
    for (const [script, wantsSyncBack] of scripts) {
      const visit = await client.sh(script, { wantsSyncBack });
      await visit.cut();
      await client.until(visit.id, 'done');
      const back = await client.resume(visit.id, { stdout: 0 });
      assert.equal((await back.exited()).outcome.kind, 'exited');
      assert.equal(String(back.stdout.bytes), 'out\n');
    }
  });
});

describe('a command whose client is gone', { skip: noProc }, () => {
  test('is asked to end when its time without a visitor is over', async () => {
    await using rig = new Rig();
    const { client } = await scene(rig);
    const script =
      'trap "echo ended > ended; exit 9" INT; echo ready; while :; do sleep 0.05; done';
    const visit = await client.sh(script, { disconnectGraceMs: 300 });
    await visit.stdout.has(/ready/);
    await visit.cut();
    // Somebody is there again in time, once.
    const back = await client.resume(visit.id, { stdout: 6 });
    await new Promise((resolve) => setTimeout(resolve, 600));
    assert.equal((await client.listed(visit.id))?.state, 'running');
    await back.cut();
    const waiting = await client.until(visit.id, 'waiting');
    assert.equal(waiting.exit_code, 9);
    const last = await client.attach(visit.id, 'visit');
    await last.exited();
    assert.deepEqual(await last.result(), new Map([['ended', 'ended\n']]));
    await last.settle();
  });

  test('is ended when it is cancelled: the answer comes when it has', async () => {
    await using rig = new Rig();
    const { client } = await scene(rig);
    const seconds = uniqueSeconds();
    const visit = await client.sh(`echo made > made; setsid sleep ${seconds} & sleep ${seconds}`);
    await processesStart(seconds, 2);
    await visit.cut();
    const cancelled = (await client.ask('POST /v1/runs/cancel', {
      run_id: visit.id,
      is_forced: false,
    })) as { was_going_on: boolean; run: { state: string; exit_code: number } };
    assert.equal(cancelled.was_going_on, true);
    assert.deepEqual([cancelled.run.state, cancelled.run.exit_code], ['waiting', 130]);
    assert.deepEqual(processesWith(seconds), []);
    const again = await client.ask('POST /v1/runs/cancel', { run_id: visit.id, is_forced: true });
    assert.equal(again['was_going_on'], false);
  });

  test('is ended when its client is revoked', async () => {
    await using rig = new Rig();
    const { host, client } = await scene(rig);
    const seconds = uniqueSeconds();
    const [there, gone] = [
      await client.sh(`sleep ${seconds}`),
      await client.sh(`sleep ${seconds}`),
    ];
    await processesStart(seconds, 2);
    await gone.cut();
    assert.equal((await host.admin('clients', 'revoke', client.client.id)).code, 0);
    assert.match(await there.run.ending(), /closed|CONNECTION_LOST/);
    while (processesWith(seconds).length > 0) await new Promise((r) => setTimeout(r, 20));
    assert.equal(await codeOf(client.resume(gone.id, { stdout: 0 })), 'ERR_RMTX_NOT_PAIRED');
  });

  test('killed with its host: the next one ends what is left, and says what it knows', async () => {
    await using rig = new Rig();
    const { host, client } = await scene(rig);
    const seconds = uniqueSeconds();
    const visit = await client.sh(
      `echo out; echo x > made; setsid sleep ${seconds} & sleep ${seconds}`,
    );
    await visit.stdout.has(/out/);
    await processesStart(seconds, 2);
    await host.kill();
    client.host = await rig.host({ stateDirectory: host.stateDirectory });
    assert.deepEqual(processesWith(seconds), []);
    const listed = await client.listed(visit.id);
    assert.equal(listed?.state, 'lost');
    assert.match(listed?.reason ?? '', /^the host ended in the midst of it/);
    for (const mode of ['resume', 'visit', 'watch'] as const) {
      const back = await client.attach(visit.id, mode);
      assert.equal(back.attached.state, 'lost');
      assert.equal(String(await back.stdout.whole), 'out\n');
      assert.equal(await back.run.ending(), 'ERR_RMTX_RUN_LOST');
    }
    const next = await client.sh('ls');
    await next.exited();
    assert.equal(String(next.stdout.bytes), '');
    next.run.connection.destroy();
  });

  test('stopped with its host: it is lost, its output is not, and visitors are told', async () => {
    await using rig = new Rig();
    const { host, client } = await scene(rig);
    const seconds = uniqueSeconds();
    const [there, gone] = [
      await client.sh(`echo out; sleep ${seconds}`),
      await client.sh(`echo out; sleep ${seconds}`),
    ];
    await Promise.all([there.stdout.has(/out/), gone.stdout.has(/out/)]);
    await gone.cut();
    assert.equal((await host.stop()).code, 0);
    assert.equal(await there.run.ending(), 'ERR_RMTX_HOST_STOPPING');
    assert.deepEqual(processesWith(seconds), []);
    client.host = await rig.host({ stateDirectory: host.stateDirectory });
    for (const { id } of [there, gone]) {
      const listed = await client.listed(id);
      assert.deepEqual([listed?.state, listed?.reason], ['lost', 'the host was stopped']);
      const back = await client.attach(id, 'visit');
      assert.equal(String(await back.stdout.whole), 'out\n');
      assert.equal(await back.run.ending(), 'ERR_RMTX_RUN_LOST');
    }
  });
});
