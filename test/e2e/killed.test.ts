import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { CuttingProxy } from '../support/cutting-proxy.js';
import { Rig } from '../support/rig.js';
import type { RigHost, RigProject, RunningRmtx } from '../support/rig.js';

const KILLS = process.env['RMTX_LONG_TESTS'] === '1' ? 100 : 6;
const FILES = 30;

/** Every file says which generation it is of; all change at once. */
function generation(number: number): Record<string, string> {
  return Object.fromEntries(
    Array.from({ length: FILES }, (_, file) => [
      `f${file}`,
      `generation ${number}\n`.repeat(file * 40 + 1),
    ]),
  );
}

function changeTo(number: number): string {
  return `for f in f*; do sed -i 's/generation [0-9]*/generation ${number}/' $f; done`;
}

/** The one generation that the project is of; throws where it is a mixture. */
function generationOf(project: RigProject): number {
  const [, number = ''] = /generation (\d+)/.exec(readFileSync(project.path('f0'), 'utf8')) ?? [];
  assert.deepEqual(
    Object.fromEntries(
      readdirSync(project.root)
        .filter((name) => name !== '.rmtx.json')
        .map((name) => [name, readFileSync(project.path(name), 'utf8')]),
    ),
    generation(Number(number)),
  );
  return Number(number);
}

/**
 * Kills something while a run that changes every file is under way, each time after more bytes on the wire;
 * what is in the project then, and what the next run sees, is wholly before or wholly after.
 */
async function killAlongTheWay(
  project: RigProject,
  kill: (running: RunningRmtx, proxy: CuttingProxy) => Promise<RigHost>,
): Promise<void> {
  let { host } = project;
  const run = (script: string, address: string): RunningRmtx =>
    project.client.start(['exec', '--host', address, '--', 'sh', '-c', script], {
      cwd: project.root,
    });
  const whole = await bytesOfRun(host, (address) => run(changeTo(1), address));
  for (let round = 0; round < KILLS; round++) {
    const before = generationOf(project);
    await using proxy = await CuttingProxy.to(host.port);
    const running = run(changeTo(round + 2), proxy.address);
    await Promise.race([proxy.hasCarried(((round + 0.5) / KILLS) * whole), running.ended]);
    host = await kill(running, proxy);
    await running.ended;
    const next = await run('cat f* | sort -u; ls | wc -l', host.address).ended;
    assert.equal(next.code, 0, next.stderr);
    const after = generationOf(project);
    assert.ok(after === before || after === round + 2, `${before} became ${after}`);
    assert.equal(next.text.replaceAll(' ', ''), `generation${after}\n${FILES}\n`);
  }
}

async function bytesOfRun(host: RigHost, run: (address: string) => RunningRmtx): Promise<number> {
  await using proxy = await CuttingProxy.to(host.port);
  const result = await run(proxy.address).ended;
  assert.equal(result.code, 0, result.stderr);
  return proxy.carried;
}

test(`a client killed at any byte leaves the project before or after the run (${KILLS} kills)`, async () => {
  await using rig = new Rig();
  const project = await rig.project(generation(0));
  await killAlongTheWay(project, async (running) => {
    running.child.kill('SIGKILL');
    await running.ended;
    return project.host;
  });
});

test(`a host killed at any byte leaves the project before or after the run (${KILLS} kills)`, async () => {
  await using rig = new Rig();
  const project = await rig.project(generation(0));
  let { host } = project;
  await killAlongTheWay(project, async (_running, proxy) => {
    await host.kill();
    host = await rig.host({ stateDirectory: host.stateDirectory });
    // Its client comes back to it, and is told what became of the run.
    proxy.targetPort = host.port;
    return host;
  });
});
