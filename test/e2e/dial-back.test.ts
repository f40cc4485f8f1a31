/** Hosts whose firewall lets no connection in: they dial back to the client, and to nobody else. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { noFirewall, noLan } from '../support/lan.js';
import { execOn, lanScene, rmtxOn } from '../support/lan-rig.js';

const DIALED_BACK = /^rmtx: the host dialled back \(its port cannot be reached from here\)$/m;

describe('a host that lets no connection in', { skip: noLan() || noFirewall() }, () => {
  test('dials back: commands run, at its remembered and at its named address', async () => {
    await using scene = await lanScene();
    const { machine, box, project, laptop } = scene;
    machine.refuseTcp();
    const ran = await execOn(scene, '-v', 'sh', '-c', 'cat a; echo made > made');
    assert.deepEqual([ran.code, ran.text], [0, 'a'], ran.stderr);
    assert.match(ran.stderr, DIALED_BACK);
    assert.match(ran.stderr, /on box \(10\.77\.0\.2:33221\)/);
    assert.equal(project.has('made'), true);
    await box.running.says(/dialled back \S+ at 10\.77\.0\.4, who cannot reach this host's port/);
    const args = ['ping', '-v', '--host', '10.77.0.2'];
    const named = await rmtxOn(laptop, project.client, { args });
    assert.match(named.text, /^online\tbox\t10\.77\.0\.2:33221\t/, named.stderr);
    assert.match(named.stderr, DIALED_BACK);
    const quiet = await execOn(scene, 'true');
    assert.deepEqual([quiet.code, quiet.stderr], [0, '']);
    const [, ms] = /^rmtx: connected in (\S+)/m.exec(ran.stderr) ?? [];
    if (process.env['RMTX_LONG_TESTS'] === '1') console.log(`connected in ${ms ?? '?'}`);
  });
});
