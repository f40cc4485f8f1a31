/** A paired client whose blobs are not what it announced, or that wants those of another client. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CHANNEL, MAX_ROUNDS, roundChannels } from '../../src/protocol/messages.js';
import { hashBytes } from '../../src/store/digest.js';
import type { Entry } from '../../src/sync/entry.js';
import type { BlobDataHead } from '../../src/protocol/blob-records.js';
import { recordOf } from '../support/lying-client.js';
import type { LyingRun } from '../support/lying-client.js';
import { NO_MANIFEST, file, manifestIdOf, upserts } from '../support/lying-entries.js';
import { requestsOf } from '../support/lying-host.js';
import { Scene, assertRefused } from '../support/lying-scene.js';
import type { Lie } from '../support/lying-scene.js';

type SendRecord = (head: BlobDataHead, body?: Uint8Array) => void;

describe('the blobs of a client', () => {
  const wanted =
    (answer: (run: LyingRun) => Promise<void>, entry: Entry = file('a', 'content')): Lie =>
    async (run) => {
      await run.open();
      run.sendRules();
      run.sendEntries([entry]);
      await run.next('blobs_wanted');
      await answer(run);
    };
  const digest = hashBytes(Buffer.from('content'));
  const body = Buffer.from('content');

  test('are checked before they are files', async () => {
    await using scene = await Scene.create();
    const other = Buffer.from('CONTENT');
    await assertRefused(scene, {
      'other bytes': [
        'DIGEST_MISMATCH',
        wanted((run) =>
          run.serveBlobs((_, send) => send({ type: 'blob', digest, size: 7 }, other)),
        ),
      ],
      'one that was not asked for': [
        'BAD_MESSAGE',
        wanted((run) =>
          run.serveBlobs((_, send) =>
            send({ type: 'blob', digest: hashBytes(other), size: 7 }, other),
          ),
        ),
      ],
      'one twice': [
        'BAD_MESSAGE',
        wanted((run) =>
          run.serveBlobs((_, send) => {
            send({ type: 'blob', digest, size: 7 }, body);
            send({ type: 'blob', digest, size: 7 }, body);
          }),
        ),
      ],
      'none at all': [
        'BAD_MESSAGE',
        wanted((run) =>
          run.serveBlobs((request, send) => {
            if (request.type === 'round-end') send({ type: 'round-end' });
          }),
        ),
      ],
      'an early end': [
        'BAD_MESSAGE',
        wanted(async (run) => run.connection.openSend(roundChannels(0).blobs).end()),
      ],
      'a record of no kind': [
        'BAD_MESSAGE',
        wanted(async (run) => {
          await run.connection.openSend(roundChannels(0).blobs).write(Buffer.of(99));
        }),
      ],
      'more than the host allowed for': [
        'BAD_MESSAGE',
        wanted(async (run) => {
          const head = Buffer.of(0, 16, 0, 3, 2, 0, roundChannels(0).blobs);
          for (let count = 0; count < 8; count++)
            run.socket.write(Buffer.concat([head, Buffer.alloc(1024 * 1024)]));
        }),
      ],
      'a size beyond every disk': [
        'BAD_MESSAGE|DISK_FULL',
        wanted(
          (run) =>
            run.serveBlobs((request, send) => {
              if (request.type === 'want') {
                send({ type: 'stream', digest: request.digest, size: request.size });
                send({ type: 'stream-end' });
              }
            }),
          { ...file('a'), size: 2 ** 52 } as Entry,
        ),
      ],
      'sizes that cannot be counted': [
        'BAD_MESSAGE|DISK_FULL',
        async (run) => {
          await run.open();
          run.sendRules();
          const huge = Array.from(
            { length: 9 },
            (_, index) => ({ ...file(`f${index}`, `${index}`), size: 2 ** 53 - 1 }) as Entry,
          );
          run.sendEntries(huge);
          await run.ending();
        },
      ],
      'in the place of manifests, again and again': [
        'BAD_MESSAGE',
        async (run) => {
          await run.open();
          run.sendRules();
          for (let round = 0; round < MAX_ROUNDS; round++) {
            const entry = file(`a${round}`, `content ${round}`);
            run.sendManifest(upserts(entry), {
              id: manifestIdOf([
                ...Array.from({ length: round }, (_, n) => file(`a${n}`, `content ${n}`)),
                entry,
              ]),
              round,
              ...(round === 0 ? {} : { base: NO_MANIFEST }),
            });
            await run.next('blobs_wanted');
            await run.serveBlobs((request, send) => {
              if (request.type === 'round-end') send({ type: 'round-end' });
              else send({ type: 'gone', digest: request.digest });
            }, round);
          }
          await run.ending();
        },
      ],
    });
  });

  test('are taken ahead of their manifest only as they were asked for', async () => {
    await using scene = await Scene.create();
    const size = 4 * 1024 * 1024;
    const piece = Buffer.alloc(1024 * 1024);
    const ahead =
      (sizes: readonly number[], records: (send: SendRecord) => void): Lie =>
      async (run) => {
        await run.open();
        run.say({ type: 'ahead', sizes });
        await run.next('ahead_wanted');
        const channel = run.connection.openSend(CHANNEL.ahead);
        records((head, body) => void channel.write(recordOf(head, body)).catch(() => undefined));
        channel.end();
        await run.ending();
      };
    await assertRefused(scene, {
      'one that was not offered': [
        'BAD_MESSAGE',
        ahead([size], (send) => send({ type: 'ahead', index: 1 })),
      ],
      'one larger than it was offered': [
        'BAD_MESSAGE',
        ahead([size], (send) => {
          send({ type: 'ahead', index: 0 });
          for (let count = 0; count < 5; count++)
            send({ type: 'stream-data', length: piece.length }, piece);
        }),
      ],
      'small ones': ['BAD_MESSAGE', ahead([size - 1], () => undefined)],
      'more than a message may name': [
        'BAD_MESSAGE',
        ahead(new Array<number>(1001).fill(size), () => undefined),
      ],
      'an offer after the other': [
        'BAD_MESSAGE',
        async (run) => {
          await run.open();
          run.say({ type: 'ahead', sizes: [] });
          await run.next('ahead_wanted');
          run.say({ type: 'ahead', sizes: [] });
          await run.ending();
        },
      ],
    });
    const run = await scene.liar.connect();
    await run.open();
    run.say({ type: 'ahead', sizes: [2 ** 52, size] });
    assert.deepEqual((await run.next('ahead_wanted')).indexes, []);
    run.connection.destroy();
  });

  test('that another client sent are asked for all the same, and are not given away', async () => {
    await using scene = await Scene.create();
    const { liar, other } = scene;
    const secret = 'only mine';
    assert.equal(await other.exec(['cat', 'key'], { key: secret }), secret);
    // Displaced, so that it lies in the store and not only in the workspace.
    await other.exec(['true'], {});
    const run = await liar.connect();
    await run.open();
    run.sendRules();
    run.sendEntries([file('guess', secret)]);
    assert.equal((await run.next('blobs_wanted')).files, 1);
    run.connection.destroy();

    const asking = await liar.connect();
    await asking.untilStarted(['touch', 'made']);
    await asking.exited();
    await asking.next('change_set');
    await asking.read(CHANNEL.changes);
    const requests = asking.connection.openSend(CHANNEL.resultRequests);
    const raw = hashBytes(Buffer.from(secret));
    await requests.write(
      requestsOf([{ type: 'want', digest: raw, size: secret.length }, { type: 'round-end' }]),
    );
    requests.end();
    const answer = await asking.read(CHANNEL.resultBlobs);
    assert.equal(answer[0], 7, 'gone');
    assert.equal(answer.includes(secret), false);
    asking.connection.destroy();
    await scene.assertUnhurt('isolation');
  });
});
