import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { makeRig, readContents } from '../../support/apply-rig.js';
import { interruptApply } from '../../support/interrupted-apply.js';
import { runMain } from './run-main.js';

test('exec does not send a project whose half-applied results have to wait', async () => {
  using rig = makeRig({ a: '1', b: '2', '.rmtx.json': '{ "version": 1, "host": "192.0.2.1" }' });
  await interruptApply(rig, { a: '1!', b: '2!', '.rmtx.json': '' }, 1);
  // Whatever keeps recovery from its work; here it cannot lock the project.
  rmSync(rig.stateDirectory, { recursive: true });
  writeFileSync(rig.stateDirectory, '');
  const run = (): ReturnType<typeof runMain> =>
    runMain(['exec', '--', 'true'], { cwd: rig.project, env: { RMTX_HOME: rig.home } });
  const refused = await run();
  assert.equal(refused.code, 125);
  assert.match(refused.stderr, /^rmtx: error: the results of run r1 are only partly in this/);

  rmSync(rig.stateDirectory);
  const other = await run();
  assert.match(other.stderr, /^rmtx: finished the interrupted sync-back of run r1/);
  assert.match(other.stderr, /^rmtx: error: this machine is not paired/m);
  const contents = readContents(rig.project);
  assert.deepEqual([contents['a'], contents['b']], ['1!', '2!']);
});
