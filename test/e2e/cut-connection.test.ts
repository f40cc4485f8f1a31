import assert from 'node:assert/strict';
import { readFileSync, readdirSync, rmSync } from 'node:fs';
import { test } from 'node:test';
import { CuttingProxy } from '../support/cutting-proxy.js';
import { Rig } from '../support/rig.js';
import type { RigProject } from '../support/rig.js';

/** TLS, the greeting, and the host's answer to it. */
const HANDSHAKE_BYTES = 6000;
const CUTS = process.env['RMTX_LONG_TESTS'] === '1' ? 300 : 25;

test(`a connection cut at any byte is made again, and the run ends as if nothing had been (${CUTS} cuts)`, async () => {
  await using rig = new Rig();
  const host = await rig.host();
  const client = rig.pairedClient(host);
  const files = Object.fromEntries(
    Array.from({ length: 30 }, (_, index) => [`src/f${index}`, `content ${index}\n`.repeat(200)]),
  );
  const project = client.project(files, { host });
  await using proxy = await CuttingProxy.to(host.port);
  const command = [
    'exec',
    '--host',
    proxy.address,
    '--',
    'sh',
    '-c',
    'cat src/* | wc -c; for i in 1 2 3 4 5; do date +%N > made$i; done; head -c 100000 /dev/zero > zeros',
  ];
  const whole = await client.rmtx(command, { cwd: project.root });
  assert.equal(whole.code, 0, whole.stderr);
  const bytes = proxy.carried;
  for (let cut = 0; cut < CUTS; cut++) {
    // Each file differs from run to run, so that there is something to send in both directions.
    project.write({ [`src/f${cut % 30}`]: `changed ${cut}\n`.repeat(300) });
    proxy.cutAfter = Math.floor(((cut + 0.5) / CUTS) * bytes);
    proxy.cutsLeft = 1;
    const result = await client.rmtx(command, { cwd: project.root });
    // Before the host is known to be there at all, a connection that cannot be made is an error.
    if (result.code !== 0 && proxy.cutAfter < HANDSHAKE_BYTES) {
      assert.equal(result.code, 125, `cut at ${proxy.cutAfter}: ${result.stderr}`);
      assert.match(result.stderr, /rmtx: error: /);
      continue;
    }
    assert.equal(result.code, 0, `cut at ${proxy.cutAfter} of ${bytes}: ${result.stderr}`);
    assert.equal(Number(result.text), bytesOfSources(project));
    assert.match(readFileSync(project.path('made5'), 'utf8'), /^\d+\n$/);
    assert.equal(
      readFileSync(project.path(`src/f${cut % 30}`), 'utf8'),
      `changed ${cut}\n`.repeat(300),
    );
  }
  proxy.cutsLeft = 0;
  const after = await client.rmtx(command, { cwd: project.root });
  assert.equal(after.code, 0, after.stderr);
  assert.equal(readFileSync(project.path('zeros')).length, 100_000);
});

test('equal files that are all written to while the connection is down go up as they are then', async () => {
  await using rig = new Rig();
  const host = await rig.host();
  const client = rig.pairedClient(host);
  const names = Array.from({ length: 20 }, (_, index) => `f${index}`);
  const filesOf = (text: string): Record<string, string> =>
    Object.fromEntries(names.map((name) => [name, text.repeat(200_000)]));
  const project = client.project(filesOf('a'), { host });
  await using proxy = await CuttingProxy.to(host.port);
  const args = [
    'exec',
    '--host',
    proxy.address,
    '--',
    'sh',
    '-c',
    'ls f* | wc -l; cat f* | tr -d b | wc -c',
  ];
  const running = client.start(args, { cwd: project.root });
  // The content is on its way, so it was asked for, so the scan is over.
  await proxy.hasCarried(4 * HANDSHAKE_BYTES);
  await proxy.goDown();
  project.write(filesOf('b'));
  rmSync(project.path('f0'));
  await proxy.comeBack();
  const result = await running.ended;
  assert.equal(result.code, 0, result.stderr);
  assert.equal(result.text, '19\n0\n');
});

function bytesOfSources(project: RigProject): number {
  return readdirSync(project.path('src'))
    .map((name) => readFileSync(project.path('src', name)).length)
    .reduce((sum, length) => sum + length, 0);
}
