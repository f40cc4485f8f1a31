import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { HostConnection } from '../../../src/client/connect.js';
import { isRmtxError } from '../../../src/errors.js';
import { LinkScene } from '../../support/linked.js';
import { LyingHost } from '../../support/lying-host.js';

const greet = async (host: HostConnection): Promise<string> => (await host.welcome).name;

function hasCode(code: string): (error: unknown) => boolean {
  return (error) => isRmtxError(error) && error.code === code;
}

/** Connects for the first time. */
async function connected(scene: LinkScene): Promise<HostConnection> {
  scene.host.serve(async (visit) => {
    await visit.greet();
    await visit.fallSilent();
  });
  const { host, answer } = await scene.link.connect(greet);
  assert.equal(answer, 'liar');
  return host;
}

describe('the link to a host', () => {
  test('fails as any connection would before the first one stood', async () => {
    await using scene = await LinkScene.make();
    await scene.proxy.goDown();
    await assert.rejects(scene.link.connect(greet), hasCode('ERR_RMTX_HOST_UNREACHABLE'));
    assert.deepEqual(scene.outages, []);
  });

  test('is made again after a cut, without many words', async () => {
    await using scene = await LinkScene.make();
    const first = await connected(scene);
    scene.proxy.cut();
    await first.connection.closed;
    assert.equal(first.lost.aborted, true);
    const second = await scene.link.connect(greet);
    assert.notEqual(second.host, first);
    assert.deepEqual(
      scene.outages.map((outage) => outage.kind === 'over' && outage.wasSaid),
      [false],
    );
  });

  test('an outage that lasts is told of once, and once that it is over', async () => {
    await using scene = await LinkScene.make();
    await connected(scene);
    await scene.proxy.goDown();
    const again = scene.link.connect(greet);
    await scene.hasTold(1);
    await scene.proxy.comeBack();
    await again;
    const [lasting, over, ...others] = scene.outages;
    assert.equal(lasting?.kind, 'lasting');
    assert.ok(over?.kind === 'over' && over.wasSaid && over.elapsedMs >= 1000);
    assert.deepEqual(others, []);
  });

  test('a host that breaks every connection at once is not run into without a pause', async () => {
    await using scene = await LinkScene.make();
    await connected(scene);
    scene.proxy.cut();
    const startedAtMs = performance.now();
    for (let attempt = 0; attempt < 5; attempt++) {
      await scene.link.connect(greet);
      scene.proxy.cut();
    }
    // 0 + 100 + 200 + 500 + 1000 ms, less the jitter.
    assert.ok(performance.now() - startedAtMs > 1100);
    assert.equal(scene.outages.filter(({ kind }) => kind === 'lasting').length, 1);
    assert.equal(scene.outages.filter(({ kind }) => kind === 'over').length, 1);
  });

  test('is given up after the limit, with why', async () => {
    await using scene = await LinkScene.make({ limitMs: 300 });
    await connected(scene);
    await scene.proxy.goDown();
    await assert.rejects(
      scene.link.connect(greet),
      /^RmtxError: the host could not be reached for 300ms: cannot reach the host at .* \(ECONNREFUSED\)$/,
    );
  });

  test('is given up at once when nobody wants it any more', async () => {
    await using scene = await LinkScene.make();
    await connected(scene);
    await scene.proxy.goDown();
    const again = scene.link.connect(greet);
    scene.abort.abort(new Error('enough'));
    await assert.rejects(again, /enough/);
  });

  test('disposed while it is being made, it comes to nothing and leaves nothing open', async () => {
    await using scene = await LinkScene.make();
    scene.host.serve((visit) => visit.fallSilent());
    const making = scene.link.connect(() => Promise.resolve('greeted'));
    // The dial has got through, and TLS is on its way.
    await scene.proxy.hasLetIn(1);
    scene.link[Symbol.dispose]();
    await assert.rejects(making, { name: 'AbortError' });
    await scene.proxy.hasNobody();
  });

  test('another machine at the address ends it', async () => {
    await using scene = await LinkScene.make();
    await connected(scene);
    await using other = await LyingHost.start(scene.rig);
    scene.proxy.targetPort = other.port;
    scene.proxy.cut();
    await assert.rejects(scene.link.connect(greet), hasCode('ERR_RMTX_FINGERPRINT_MISMATCH'));
  });

  test('what the host says is no loss of connection', async () => {
    await using scene = await LinkScene.make();
    await connected(scene);
    scene.host.serve(async (visit) => {
      await visit.greet();
      visit.sayRaw({ type: 'error', code: 'ERR_RMTX_RUN_NOT_FOUND', message: 'no such run' });
      await visit.fallSilent();
    });
    scene.proxy.cut();
    await assert.rejects(
      scene.link.connect(async (host) => {
        await host.welcome;
        return host.inbox.next('run_attached');
      }),
      hasCode('ERR_RMTX_RUN_NOT_FOUND'),
    );
  });
});
