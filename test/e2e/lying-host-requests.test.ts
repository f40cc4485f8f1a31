/** A paired host that asks for what it was not offered: it does not get it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { BlobRequest } from '../../src/protocol/blob-requests.js';
import { roundChannels } from '../../src/protocol/messages.js';
import { hashBytes } from '../../src/store/digest.js';
import { assertFailed, startExec, verbose } from '../support/lied-to.js';
import { LyingHost, requestsOf } from '../support/lying-host.js';
import { peakMemory } from '../support/memory.js';
import { Rig } from '../support/rig.js';

describe('what a host asks for', () => {
  const secret = Buffer.from('not for any host');
  const shared = Buffer.from('shared');
  const want = (bytes: Buffer): BlobRequest => ({
    type: 'want',
    digest: hashBytes(bytes),
    size: bytes.length,
  });
  const digest = hashBytes(shared);
  const MANY = 1e6;
  const manyTimes = (request: BlobRequest): Buffer => {
    const one = requestsOf([request]);
    return Buffer.alloc(MANY * one.length, one);
  };
  function* ofManySizes(): Generator<BlobRequest> {
    for (let size = 10; size < MANY + 10; size++) yield { type: 'want', digest, size };
  }
  const round = (request: BlobRequest): Buffer => requestsOf([request, { type: 'round-end' }]);

  const refused: Record<string, () => Buffer> = {
    'a file that is ignored': () => round(want(secret)),
    'a file that is nowhere': () => round(want(Buffer.from('nowhere'))),
    'the chunks of a small file': () => round({ type: 'want-chunk-list', digest, size: 6 }),
    'chunks that no list names': () =>
      round({ type: 'want-chunks', digest, firstIndex: 0, count: 1 }),
    'chunks of a file that is ignored': () =>
      round({ type: 'want-chunk-list', digest: hashBytes(secret), size: 2 ** 23 }),
    'the same file a million times': () => manyTimes(want(shared)),
    'the same file as another size, again and again': () => requestsOf(ofManySizes()),
    'the chunks of the same file, again and again': () =>
      manyTimes({ type: 'want-chunk-list', digest, size: 2 ** 44 }),
  };

  test(`is sent only if it was offered, and once (${Object.keys(refused).length} ways)`, async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    const files = { shared: shared.toString(), 'other/shared': shared.toString(), a: 'a' };
    const config = { ignore: ['.git/**', 'secret'] };
    const project = host.project({ ...files, secret: secret.toString() }, config);
    for (const [name, requests] of Object.entries(refused)) {
      const bytes = requests();
      let received = 0;
      host.serve(async (visit) => {
        await visit.greet();
        await visit.open();
        await visit.takeManifest();
        visit.connection
          .openSend(roundChannels(0).requests)
          .write(bytes)
          .catch(() => undefined);
        visit.say({ type: 'blobs_wanted', round: 0, files: 1, bytes: 1 });
        for await (const piece of visit.connection.openReceive(roundChannels(0).blobs))
          received += piece.length;
      });
      const run = await peakMemory(startExec(project));
      assertFailed(run.result, 'ERR_RMTX_BAD_MESSAGE', name);
      assert.ok(received < 1000, `${name}: ${received} bytes were sent`);
      assert.ok(run.peakMb < 300, `${name}: ${run.peakMb} MB`);
    }
  });

  test('in a record that is none, or half of one, ends the run', async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    const project = host.project({ a: 'a' });
    for (const requests of [Buffer.of(9), requestsOf([want(Buffer.from('a'))]).subarray(0, 20)]) {
      host.serve(async (visit) => {
        await visit.greet();
        await visit.open();
        await visit.takeManifest();
        await visit.ask(requests);
        await visit.fallSilent();
      });
      assertFailed(await project.exec(['true'], verbose), 'ERR_RMTX_BAD_MESSAGE', 'record');
    }
  });
});
