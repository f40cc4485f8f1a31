/** A paired host that sends other content than it announced: nothing of it gets here. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { BlobDataHead } from '../../src/protocol/blob-records.js';
import type { BlobRequest } from '../../src/protocol/blob-requests.js';
import { CHANNEL } from '../../src/protocol/messages.js';
import { hashBytes } from '../../src/store/digest.js';
import type { Entry } from '../../src/sync/entry.js';
import { fileEntry } from '../support/entries.js';
import { assertFailed, contents, verbose } from '../support/lied-to.js';
import { file, rawFile, upsert } from '../support/lying-changes.js';
import { LyingHost, recordsOf } from '../support/lying-host.js';
import type { LyingVisit } from '../support/lying-host.js';
import { Rig } from '../support/rig.js';

describe('the content of a change', () => {
  const evil = Buffer.from('evil');
  const digest = hashBytes(evil);
  const size = 8 * 1024 * 1024;
  const chunkSize = 1024 * 1024;
  const zeros = Buffer.alloc(chunkSize);
  type Send = (head: BlobDataHead, body?: Uint8Array) => void;
  type Answer = (request: BlobRequest, send: Send, visit: LyingVisit) => void;

  /** Large, so that it comes in pieces; each of its own, or the last attempt would be gone on with. */
  const large = (name: string, at: string): Entry => ({
    ...(fileEntry(at, name) as Extract<Entry, { kind: 'file' }>),
    size,
  });
  /** A large file comes as a stream; the answer has all but its first record. */
  const streamed =
    (send_: (send: Send) => void): Answer =>
    (request, send) => {
      if (request.type !== 'want') return;
      send({ type: 'stream', digest: request.digest, size: request.size });
      send_(send);
    };
  const listOfZeros = Buffer.concat(Array.from({ length: 8 }, () => hashBytes(zeros)));
  /** Of a large file that is here in an older version only the chunks that differ come. */
  const chunked =
    (lie: (request: Extract<BlobRequest, { digest: Buffer }>, send: Send) => void): Answer =>
    (request, send) => {
      if (request.type === 'round-end') send({ type: 'round-end' });
      else if (request.type === 'want-chunk-list')
        send({ type: 'chunk-list', digest: request.digest, firstIndex: 0, count: 8 }, listOfZeros);
      else lie(request, send);
    };

  const small: Record<string, readonly [code: string, Answer]> = {
    'other bytes': [
      'DIGEST_MISMATCH',
      (_, send) => send({ type: 'blob', digest, size: 4 }, Buffer.from('EVIL')),
    ],
    'another size than announced': [
      'BAD_MESSAGE',
      (_, send) => send({ type: 'blob', digest, size: 5 }, Buffer.from('evil!')),
    ],
    'a blob that was not asked for': [
      'BAD_MESSAGE',
      (_, send) =>
        send({ type: 'blob', digest: hashBytes(Buffer.from('x')), size: 1 }, Buffer.from('x')),
    ],
    'the same blob twice': [
      'BAD_MESSAGE',
      (_, send) => {
        send({ type: 'blob', digest, size: 4 }, evil);
        send({ type: 'blob', digest, size: 4 }, evil);
      },
    ],
    'a small blob in pieces': [
      'BAD_MESSAGE',
      (_, send) => send({ type: 'stream', digest, size: 4 }),
    ],
    'a large blob in one piece': [
      'BAD_MESSAGE',
      (_, send) => send({ type: 'blob', digest, size: 2 ** 30 }),
    ],
    'a piece of no stream': [
      'BAD_MESSAGE',
      (_, send) => send({ type: 'stream-data', length: 4 }, evil),
    ],
    'the end of the round before the answer': [
      'BAD_MESSAGE',
      (request, send) => {
        if (request.type === 'round-end') send({ type: 'round-end' });
      },
    ],
    'an end of the round that nobody asked for': [
      'BAD_MESSAGE',
      (_, send) => {
        for (let count = 0; count < 3; count++) send({ type: 'round-end' });
      },
    ],
    'that something else is gone': [
      'BAD_MESSAGE',
      (_, send) => send({ type: 'gone', digest: hashBytes(Buffer.from('x')) }),
    ],
    'a record of no kind': [
      'BAD_MESSAGE',
      (_, __, { socket }) => socket.write(Buffer.of(0, 0, 0, 4, 2, 0, CHANNEL.resultBlobs, 99)),
    ],
    'more than the client allowed for': [
      'BAD_MESSAGE',
      (request, _, { socket }) => {
        if (request.type !== 'round-end') return;
        const head = Buffer.of(0, 16, 0, 3, 2, 0, CHANNEL.resultBlobs);
        for (let frame = 0; frame < 8; frame++) socket.write(Buffer.concat([head, zeros]));
      },
    ],
  };
  const inPieces: Record<string, readonly [code: string, Answer]> = {
    'too much of it': [
      'BAD_MESSAGE',
      streamed((send) => {
        for (let piece = 0; piece < 9; piece++)
          send({ type: 'stream-data', length: chunkSize }, zeros);
      }),
    ],
    'too little of it': [
      'BAD_MESSAGE',
      streamed((send) => {
        send({ type: 'stream-data', length: 4 }, evil);
        send({ type: 'stream-end' });
      }),
    ],
    'a piece of no length': [
      'BAD_MESSAGE',
      streamed((send) => send({ type: 'stream-data', length: 0 })),
    ],
    'a piece that is too long': [
      'BAD_MESSAGE',
      streamed((send) => send({ type: 'stream-data', length: 2 ** 24 })),
    ],
    'a stream in a stream': [
      'BAD_MESSAGE',
      streamed((send) => send({ type: 'stream', digest, size })),
    ],
    'other bytes in pieces': [
      'DIGEST_MISMATCH',
      streamed((send) => {
        for (let piece = 0; piece < 8; piece++)
          send({ type: 'stream-data', length: chunkSize }, zeros);
        send({ type: 'stream-end' });
      }),
    ],
    'a chunk list that was not asked for': [
      'BAD_MESSAGE',
      (request, send) => {
        if (request.type === 'want')
          send(
            { type: 'chunk-list', digest: request.digest, firstIndex: 0, count: 8 },
            listOfZeros,
          );
      },
    ],
  };
  const inChunks: Record<string, readonly [code: string, Answer]> = {
    'chunks of something else': [
      'DIGEST_MISMATCH',
      chunked((request, send) => {
        if (request.type !== 'want-chunks') return;
        for (let index = 0; index < request.count; index++)
          send(
            {
              type: 'chunk',
              digest: request.digest,
              index: request.firstIndex + index,
              length: chunkSize,
            },
            zeros,
          );
      }),
    ],
    "a chunk that is not the list's": [
      'DIGEST_MISMATCH',
      chunked(({ digest: of }, send) =>
        send(
          { type: 'chunk', digest: of, index: 0, length: chunkSize },
          Buffer.alloc(chunkSize, 1),
        ),
      ),
    ],
    'a chunk behind the end': [
      'BAD_MESSAGE',
      chunked(({ digest: of }, send) =>
        send({ type: 'chunk', digest: of, index: 8, length: chunkSize }, zeros),
      ),
    ],
    'half a chunk': [
      'BAD_MESSAGE',
      chunked(({ digest: of }, send) =>
        send({ type: 'chunk', digest: of, index: 0, length: 4 }, evil),
      ),
    ],
    'a second list': [
      'BAD_MESSAGE',
      chunked(({ digest: of }, send) =>
        send({ type: 'chunk-list', digest: of, firstIndex: 0, count: 8 }, listOfZeros),
      ),
    ],
    'a list of no chunks': [
      'BAD_MESSAGE',
      (request, send) => {
        if (request.type === 'want-chunk-list')
          send({ type: 'chunk-list', digest: request.digest, firstIndex: 0, count: 0 });
      },
    ],
    'a list of more than there are': [
      'BAD_MESSAGE',
      (request, send) => {
        if (request.type === 'want-chunk-list')
          send({ type: 'chunk-list', digest: request.digest, firstIndex: 0, count: 9 });
      },
    ],
    'a list without its beginning': [
      'BAD_MESSAGE',
      (request, send) => {
        if (request.type === 'want-chunk-list')
          send({ type: 'chunk-list', digest: request.digest, firstIndex: 1, count: 7 });
      },
    ],
  };

  const cases = [
    ...Object.entries(small).map((lie) => [fileEntry('a', 'evil'), ...lie] as const),
    ...Object.entries(inPieces).map((lie) => [large(lie[0], 'a'), ...lie] as const),
    ...Object.entries(inChunks).map((lie) => [large(lie[0], 'old'), ...lie] as const),
  ];

  test(`is checked before any of it is here (${cases.length} ways)`, async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    const old = Buffer.alloc(size, 'old');
    const project = host.project({ kept: 'k', old });
    for (const [entry, name, [code, answer]] of cases) {
      host.serve(async (visit) => {
        await visit.untilExited();
        visit.announce(1);
        await visit.sendRecords(recordsOf([upsert(entry)]));
        await visit.answerRequests((request, send) => answer(request, send, visit));
        await visit.fallSilent();
      });
      assertFailed(await project.exec(['true'], verbose), `ERR_RMTX_${code}`, name);
      const { old: now, ...others } = contents(project);
      assert.deepEqual(others, { kept: 'k' }, name);
      assert.ok(now === old.toString('latin1'), name);
    }
  });

  test('that the host no longer has is left out and told', async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    const project = host.project({ kept: 'k' });
    host.serve(async (visit) => {
      await visit.untilExited();
      await visit.offer([file('a'), file('b', 'here')], ['here']);
    });
    const result = await project.exec(['true']);
    assert.equal(result.code, 122, result.stderr);
    assert.match(result.stderr, /a: the host no longer has its content/);
    assert.deepEqual(contents(project), { kept: 'k', b: 'here' });
  });

  test('that ends early leaves nothing behind', async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    const project = host.project({ kept: 'k' });
    for (const entry of [fileEntry('a', 'evil'), large('ends early', 'a')]) {
      host.serve(async (visit) => {
        await visit.untilExited();
        visit.announce(1);
        await visit.sendRecords(recordsOf([upsert(entry)]));
        const requests = visit.connection.openReceive(CHANNEL.resultRequests);
        const blobs = visit.connection.openSend(CHANNEL.resultBlobs);
        for await (const _piece of requests) blobs.end();
        await visit.fallSilent();
      });
      const result = await project.exec(['true'], verbose);
      assertFailed(result, 'ERR_RMTX_(BAD_MESSAGE|BLOB_MISSING)', entry.kind);
      assert.deepEqual(contents(project), { kept: 'k' });
    }
  });

  test('of a size that no disk has is refused before a byte of it', async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    const project = host.project({ kept: 'k' });
    host.serve(async (visit) => {
      await visit.untilExited();
      visit.announce(1);
      await visit.sendRecords(rawFile('a', { size: 2 ** 52 }));
      await visit.fallSilent();
    });
    assertFailed(await project.exec(['true'], verbose), 'ERR_RMTX_DISK_FULL', 'size');
    assert.deepEqual(contents(project), { kept: 'k' });
  });
});
