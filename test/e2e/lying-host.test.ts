/** A paired host that lies: the real client ends with a reason, and nothing here is hurt. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import type { BlobDataHead } from '../../src/protocol/blob-records.js';
import type { BlobRequest } from '../../src/protocol/blob-requests.js';
import { CHANNEL, roundChannels } from '../../src/protocol/messages.js';
import type { CommandOutcome } from '../../src/protocol/messages.js';
import { hashBytes } from '../../src/store/digest.js';
import type { Entry, ManifestChange, WorkspacePath } from '../../src/sync/entry.js';
import { ByteWriter } from '../../src/util/bytes.js';
import { pathFromBytes } from '../../src/util/path-bytes.js';
import { directoryEntry, fileEntry, symlinkEntry } from '../support/entries.js';
import { LyingHost, recordsOf, requestsOf } from '../support/lying-host.js';
import type { LyingVisit } from '../support/lying-host.js';
import { Rig } from '../support/rig.js';
import type { Result, RigProject, RunningRmtx } from '../support/rig.js';

const upsert = (entry: Entry): ManifestChange => ({ type: 'upsert', entry });
const file = (name: string, text = 'evil'): ManifestChange => upsert(fileEntry(name, text));
const deletion = (name: string): ManifestChange => ({
  type: 'delete',
  path: name as WorkspacePath,
});

/** A file entry whose numbers are anything. */
function rawFile(name: string, numbers: { mode?: number; size?: number; time?: number }): Buffer {
  const text = Buffer.from(name);
  const body = new ByteWriter()
    .u8(1)
    .prefixed(text)
    .varint(numbers.mode ?? 0o644);
  body
    .varint(numbers.size ?? 4)
    .varint(numbers.time ?? 1)
    .raw(hashBytes(Buffer.from('evil')));
  return Buffer.from(new ByteWriter().prefixed(body.view()).view());
}

/** Everything in the project but rmtx's own config, as text. */
function contents(project: RigProject): Record<string, string> {
  const found: Record<string, string> = {};
  for (const entry of readdirSync(project.root, { recursive: true, withFileTypes: true })) {
    const at = path.relative(project.root, path.join(entry.parentPath, entry.name));
    if (entry.isSymbolicLink()) found[at] = '->';
    else if (entry.isFile() && at !== '.rmtx.json')
      found[at] = readFileSync(project.path(at), 'latin1');
  }
  return found;
}

function assertFailed(result: Result, code: string, name: string): void {
  const said = `${name}: exit ${result.code}, ${result.stderr}`;
  assert.equal(result.code, 125, said);
  assert.match(result.stderr, new RegExp(`^rmtx: code: ${code}$`, 'm'), said);
  assert.doesNotMatch(result.stderr, /this is a bug in rmtx/, said);
}

const verbose = { flags: ['-v'] } as const;

describe('a change set', () => {
  const broken: Record<string, Uint8Array> = {
    'a path out of the project': recordsOf([file('../x')]),
    'an absolute path': recordsOf([file('/tmp/rmtx-evil')]),
    'a path with .. inside': recordsOf([file('a/../../x')]),
    'an empty path': recordsOf([file('')]),
    'a dot': recordsOf([file('.')]),
    'an empty name': recordsOf([file('a//b')]),
    'a NUL': recordsOf([file('a\0b')]),
    'a name over 255 bytes': recordsOf([file('n'.repeat(256))]),
    'a path over 4096 bytes': recordsOf([file(`${'n/'.repeat(2100)}n`)]),
    'a depth of ten thousand': recordsOf([file(`${'n/'.repeat(10_000)}n`)]),
    'paths out of order': recordsOf([file('b'), file('a')]),
    'a path twice': recordsOf([file('a'), file('a')]),
    'a path deleted and made': recordsOf([deletion('a'), file('a')]),
    'a set-uid mode': rawFile('a', { mode: 0o4755 }),
    'a time beyond counting': rawFile('a', { time: Number.MAX_SAFE_INTEGER }),
    'a number of eleven bytes': Buffer.concat([Buffer.of(14, 1, 1, 0x61), Buffer.alloc(11, 0x80)]),
    'a link to nothing': Buffer.of(5, 3, 1, 0x61, 0),
    'a link with a NUL': recordsOf([upsert(symlinkEntry('a', 'x\0y'))]),
    'an unknown kind': Buffer.of(3, 9, 1, 0x61),
    'a record of no length': Buffer.of(0),
    'a record without an end': Buffer.of(0xff, 0xff, 0xff, 0xff),
    'half a record': recordsOf([file('abc')]).subarray(0, 9),
    'a record longer than its fields': Buffer.of(4, 0, 1, 0x61, 0),
    'a good change before a bad one': recordsOf([file('a'), file('b/../c')]),
  };

  test(`that no working host sends changes nothing (${Object.keys(broken).length} ways)`, async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    const project = host.project({ kept: 'k' });
    for (const [name, records] of Object.entries(broken)) {
      host.serve(async (visit) => {
        await visit.untilExited();
        visit.announce(1);
        await visit.sendRecords(records);
        await visit.serveBlobs(['evil']);
        await visit.fallSilent();
      });
      assertFailed(await project.exec(['true'], verbose), 'ERR_RMTX_BAD_MESSAGE', name);
      assert.deepEqual(contents(project), { kept: 'k' }, name);
    }
    assert.equal(existsSync(path.join(project.root, '..', 'x')), false);
    assert.equal(existsSync('/tmp/rmtx-evil'), false);
  });

  test('with paths that no host may write: those are left out and told, the rest comes home', async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    const mine = {
      '.git/HEAD': 'ref',
      'in/a': '1',
      'in/f': 'a file',
      'in/gone/x': 'x',
      'in/ignored/secret': 's',
      'out/o': 'o',
    };
    const config = {
      mounts: [{ path: 'in' }],
      ignore: ['.git/**', 'in/ignored/'],
      keep_on_host: ['in/kept/'],
    };
    const project = host.project(mine, config);
    const refused = [
      file('.GIT/config'),
      deletion('.git/HEAD'),
      file('.git/hooks/pre-commit'),
      file('.rmtx.json'),
      file('.rmtx.local.json'),
      file('in/.Git/config'),
      file('in/.rmtx-stage-r1/0'),
      file('in/.g\u200cit/config'),
      upsert(symlinkEntry('in/abs', '/etc/passwd')),
      file('in/f/below-a-file'),
      file('in/gone/x/below-a-deleted-file'),
      deletion('in/ignored/secret'),
      file('in/ignored/x'),
      file('in/kept/x'),
      upsert(symlinkEntry('in/link-out', '../../x')),
      file('in/new-file/below'),
      file('in/new-link/below'),
      deletion('in/never-sent'),
      deletion('out/o'),
      file('out/x'),
      file('rmtx.json'),
    ];
    const good = [
      file('in/b', 'good'),
      deletion('in/gone'),
      deletion('in/gone/x'),
      file('in/new-file', 'good'),
      upsert(symlinkEntry('in/new-link', 'f')),
    ];
    const at = (change: ManifestChange): string =>
      change.type === 'upsert' ? change.entry.path : change.path;
    const walk = (change: ManifestChange): string => at(change).replaceAll('/', '\0');
    const changes = [...refused, ...good].sort((a, b) => (walk(a) < walk(b) ? -1 : 1));
    host.serve(async (visit) => {
      await visit.untilExited();
      await visit.offer(changes, ['evil', 'good']);
    });
    const result = await project.exec(['true'], { flags: ['--json'] });
    assert.equal(result.code, 122, result.text);
    const problems = jsonLines(result)
      .filter((line) => line['type'] === 'problem')
      .map((line) => line['path']);
    assert.deepEqual(problems, changes.filter((change) => refused.includes(change)).map(at));
    const { 'in/gone/x': _, ...kept } = mine;
    assert.deepEqual(contents(project), {
      ...kept,
      'in/b': 'good',
      'in/new-file': 'good',
      'in/new-link': '->',
    });
  });

  test('with a link in one run and a file through it in the next: the file is refused', async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    const project = host.project({ 'dir/a': '1', 'other/b': '2' });
    const runs: ManifestChange[][] = [
      [upsert(symlinkEntry('link', 'other'))],
      [file('link/b'), file('link/new')],
      [deletion('link/b')],
      // The directory is said to be a link now, and what is in it written through it.
      [deletion('dir/a'), file('dir/through')],
    ];
    runs[3]?.unshift(upsert(symlinkEntry('dir', 'other')));
    for (const changes of runs) {
      host.serve(async (visit) => {
        await visit.untilExited();
        await visit.offer(changes, ['evil']);
      });
      await project.exec(['true']);
    }
    assert.deepEqual(contents(project), { 'other/b': '2', dir: '->', link: '->' });
  });

  test('with deletions of nearly everything is held back', async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    const mine = Object.fromEntries(
      Array.from({ length: 40 }, (_, index) => [`f${String(index).padStart(2, '0')}`, 'x']),
    );
    const project = host.project(mine);
    host.serve(async (visit) => {
      await visit.untilExited();
      await visit.offer(Object.keys(mine).map(deletion));
    });
    const result = await project.exec(['true']);
    assert.equal(result.code, 122, result.stderr);
    assert.match(result.stderr, /--allow-mass-delete/);
    assert.deepEqual(contents(project), mine);
  });

  test('with names that no file system takes ends with a reason, and changes nothing', async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    const long = 'ü'.repeat(200);
    const deep = Array.from({ length: 15 }, () => 'd'.repeat(250)).join('/');
    const sets: ManifestChange[][] = [
      [file(long)],
      [deletion(long)],
      [upsert(directoryEntry(long))],
      [upsert(directoryEntry(long)), file(`${long}/x`)],
      [upsert(symlinkEntry('link', 'ü'.repeat(2000)))],
      [upsert(symlinkEntry(long, 'x'))],
      [file(`${deep}/x`)],
      [file(pathFromBytes(Buffer.from('raw-\xff\xfe', 'latin1')))],
    ];
    for (const changes of sets) {
      const project = host.project({ kept: 'k' });
      host.serve(async (visit) => {
        await visit.untilExited();
        await visit.offer(changes, ['evil']);
      });
      const result = await project.exec(['true'], verbose);
      assert.doesNotMatch(result.stderr, /this is a bug/);
      assert.ok([0, 122, 125].includes(result.code ?? -1), result.stderr);
      if (result.code !== 0) assert.deepEqual(contents(project), { kept: 'k' });
    }
  });

  test('of a million changes, and one without an end, cost a bounded amount of memory', async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    const project = host.project({ kept: 'k' });
    const deletions = (from: number): ManifestChange[] =>
      Array.from({ length: 10_000 }, (_, index) => deletion(`n${1e7 + from + index}`));
    host.serve(async (visit) => {
      await visit.untilExited();
      visit.announce(1e6);
      const channel = visit.connection.openSend(CHANNEL.changes);
      for (let sent = 0; sent < 1e6; sent += 10_000)
        await channel.write(recordsOf(deletions(sent)));
      channel.end();
      await visit.serveBlobs([]);
      await visit.expect('applied');
      visit.say({ type: 'acknowledged' });
    });
    const million = await peakMemory(startExec(project));
    assert.equal(million.result.code, 122, million.result.stderr);
    assert.ok(million.peakMb < 900, `${million.peakMb} MB`);

    // A real path each time, long: the most memory for a byte on the wire is not to be had either.
    host.serve(async (visit) => {
      await visit.untilExited();
      visit.announce(Number.MAX_SAFE_INTEGER);
      const channel = visit.connection.openSend(CHANNEL.changes);
      const long = `${'d'.repeat(250)}/`.repeat(15);
      for (let sent = 1e9; ; sent += 100)
        await channel.write(
          recordsOf(Array.from({ length: 100 }, (_, index) => deletion(`${long}${sent + index}`))),
        );
    });
    const endless = await peakMemory(startExec(project));
    assertFailed(endless.result, 'ERR_RMTX_BAD_MESSAGE', 'endless');
    assert.ok(endless.peakMb < 900, `${endless.peakMb} MB`);
    assert.deepEqual(contents(project), { kept: 'k' });
  });
});

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
        send({ type: 'chunk-list', digest: request.digest, size, chunkSize }, listOfZeros);
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
          send({ type: 'chunk-list', digest: request.digest, size, chunkSize }, listOfZeros);
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
        send({ type: 'chunk-list', digest: of, size, chunkSize }, listOfZeros),
      ),
    ],
    'a list in chunks of no length': [
      'BAD_MESSAGE',
      (request, send) => {
        if (request.type === 'want-chunk-list')
          send({ type: 'chunk-list', digest: request.digest, size, chunkSize: 0 });
      },
    ],
    'a list of sixteen tebibytes': [
      'BAD_MESSAGE',
      (request, send) => {
        if (request.type === 'want-chunk-list')
          send({
            type: 'chunk-list',
            digest: request.digest,
            size: 2 ** 44,
            chunkSize: 16 * 1024 * 1024,
          });
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

describe('what a host asks for', () => {
  const secret = Buffer.from('not for any host');
  const shared = Buffer.from('shared');
  const want = (bytes: Buffer, size = bytes.length): BlobRequest => ({
    type: 'want',
    digest: hashBytes(bytes),
    size,
  });
  const digest = hashBytes(shared);
  const end: BlobRequest = { type: 'round-end' };

  const refused: Record<string, BlobRequest[]> = {
    'a file that is ignored': [want(secret), end],
    'a file that is nowhere': [want(Buffer.from('nowhere')), end],
    'the chunks of a small file': [{ type: 'want-chunk-list', digest, size: 6 }, end],
    'chunks that no list names': [{ type: 'want-chunks', digest, firstIndex: 0, count: 1 }, end],
    'chunks of a file that is ignored': [
      { type: 'want-chunk-list', digest: hashBytes(secret), size: 2 ** 23 },
      end,
    ],
    'the same file a million times': Array.from({ length: 1e6 }, () => want(shared)),
    'the same file as another size, again and again': Array.from({ length: 1e6 }, (_, index) =>
      want(shared, index + 10),
    ),
    'the chunks of the same file, again and again': Array.from(
      { length: 1e6 },
      (): BlobRequest => ({ type: 'want-chunk-list', digest, size: 2 ** 44 }),
    ),
  };

  test(`is sent only if it was offered, and once (${Object.keys(refused).length} ways)`, async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    const files = { shared: shared.toString(), 'other/shared': shared.toString(), a: 'a' };
    const config = { ignore: ['.git/**', 'secret'] };
    const project = host.project({ ...files, secret: secret.toString() }, config);
    for (const [name, requests] of Object.entries(refused)) {
      const bytes = requestsOf(requests);
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

describe('a message', () => {
  const hello = async (visit: LyingVisit): Promise<void> => {
    await visit.expect('hello');
  };
  const welcome = { type: 'welcome', protocol: 1, version: '1', name: 'liar', now_us: 1 };
  const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
  const outcome = (lie: object) => async (visit: LyingVisit) => {
    await visit.untilUploaded();
    await visit.start();
    await visit.print();
    visit.exit(undefined, { outcome: lie });
  };

  const wrong: Record<string, (visit: LyingVisit) => Promise<void>> = {
    'of no type': async (visit) => visit.sayRaw({}),
    'of an unknown type': async (visit) => visit.sayRaw({ type: 'surprise' }),
    'of a type out of Object.prototype': async (visit) => visit.sayRaw({ type: '__proto__' }),
    'called constructor': async (visit) => visit.sayRaw({ type: 'constructor' }),
    'with its fields in the prototype': async (visit) => {
      sendText(visit, `{"__proto__":${JSON.stringify(welcome)}}`);
    },
    'with a type that is a list': async (visit) => visit.sayRaw({ type: ['welcome'] }),
    'that is a list': async (visit) => sendText(visit, '[1]'),
    'that is no JSON': async (visit) => sendText(visit, '{"type":'),
    'that is no UTF-8': async (visit) => sendText(visit, Buffer.of(0x7b, 0xff, 0x7d)),
    'with a name of a megabyte': async (visit) =>
      visit.sayRaw({ ...welcome, name: 'n'.repeat(2e5) }),
    'with a version of 65 letters': async (visit) =>
      visit.sayRaw({ ...welcome, version: 'v'.repeat(65) }),
    'with a clock before time': async (visit) => visit.sayRaw({ ...welcome, now_us: -1 }),
    'with a protocol that was not offered': async (visit) =>
      visit.sayRaw({ ...welcome, protocol: 2 }),
    'that opens before it greets': async (visit) =>
      visit.sayRaw({ type: 'run_opened', workspace: '', slot: 0, is_cold: true, base: null }),
    'that says goodbye first': async (visit) => visit.sayRaw({ type: 'acknowledged' }),
    'with a base that is a path': async (visit) => {
      await visit.greet();
      await visit.open({ base: '../../etc/passwd' });
    },
    'with a slot beyond all': async (visit) => {
      await visit.greet();
      await visit.open({ slot: 1e9 });
    },
    'that starts before it has the files': async (visit) => {
      await visit.greet();
      await visit.open();
      await visit.takeManifest();
      visit.say({ type: 'started' });
    },
    'that wants blobs of another round': async (visit) => {
      await visit.greet();
      await visit.open();
      await visit.takeManifest();
      visit.wantNothing(3);
    },
    'that starts twice': async (visit) => {
      await visit.untilUploaded();
      await visit.start();
      visit.say({ type: 'started' });
    },
    'that has changes before the end': async (visit) => {
      await visit.untilUploaded();
      await visit.start();
      visit.announce(0);
    },
    'that acknowledges what was not applied': async (visit) => {
      await visit.untilExited();
      visit.say({ type: 'acknowledged' });
    },
    'with an exit code of 256': outcome({ kind: 'exited', code: 256 }),
    'with an exit code of -1': outcome({ kind: 'exited', code: -1 }),
    'with half an exit code': outcome({ kind: 'exited', code: 0.5 }),
    'with an exit code in words': outcome({ kind: 'exited', code: '0' }),
    'with no exit code': outcome({ kind: 'exited' }),
    'with a signal of number 0': outcome({ kind: 'signalled', exit_signal: 'SIGINT', number: 0 }),
    'with a signal of number 500': outcome({ kind: 'signalled', exit_signal: 'SIGX', number: 500 }),
    'with a signal that is none': outcome({ kind: 'signalled', exit_signal: '\x1b[2J', number: 2 }),
    'with an end of no kind': outcome({ kind: 'vanished' }),
    'with an end that is a text': outcome('exited' as unknown as object),
    'with a negative count of changes': async (visit) => {
      await visit.untilExited();
      visit.announce(-1);
    },
    'with a manifest id that is none': async (visit) => {
      await visit.untilExited();
      visit.announce(0, { manifest_id: 'manifest:00' });
    },
    'with more problems than a message may have': async (visit) => {
      await visit.untilExited();
      const problem = { path: 'p', code: 'refused', message: 'm' };
      visit.announce(0, { problems: Array.from({ length: 201 }, () => problem) });
    },
    'with a problem of an unknown code': async (visit) => {
      await visit.untilExited();
      visit.announce(0, { problems: [{ path: 'p', code: '__proto__', message: 'm' }] });
    },
    'many at once': async (visit) => {
      for (let count = 0; count < 1000; count++) visit.sayRaw({ ...welcome });
    },
  };

  test(`that is wrong, or at the wrong time, ends the run (${Object.keys(wrong).length} ways)`, async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    const project = host.project({ a: '1' });
    for (const [name, lie] of Object.entries(wrong)) {
      host.serve(async (visit) => {
        await lie(visit);
        await visit.fallSilent();
      });
      assertFailed(await project.exec(['true'], verbose), 'ERR_RMTX_BAD_MESSAGE', name);
    }
    assert.deepEqual(contents(project), { a: '1' });
  });

  test('or a frame over its limit ends the run before it is read', async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    const project = host.project({ a: '1' });
    const frames: Record<string, [string, Buffer]> = {
      'a message of a gigabyte': ['FRAME_TOO_LARGE', Buffer.of(0x40, 0, 0, 0, 1, 0x7b)],
      'data of a gigabyte': ['FRAME_TOO_LARGE', Buffer.of(0x40, 0, 0, 0, 2, 0, 3)],
      'an unknown frame': ['BAD_MESSAGE', Buffer.of(0, 0, 0, 1, 99)],
      'a frame of no length': ['BAD_MESSAGE', Buffer.of(0, 0, 0, 0, 1)],
      'a pairing message': ['BAD_MESSAGE', Buffer.from('\0\0\0\x0f{"type":"share"}')],
      'a page of a web server': ['(FRAME_TOO_LARGE|BAD_MESSAGE)', Buffer.from('HTTP/1.1 400 \r\n')],
      'data on a channel that is not open': ['BAD_MESSAGE', Buffer.of(0, 0, 0, 4, 2, 0, 99, 1)],
      'the same end twice': ['BAD_MESSAGE', Buffer.of(0, 0, 0, 3, 4, 0, 9, 0, 0, 0, 3, 4, 0, 9)],
    };
    for (const [name, [code, bytes]] of Object.entries(frames)) {
      host.serve(async (visit) => {
        await hello(visit);
        visit.socket.write(bytes);
        await visit.fallSilent();
      });
      assertFailed(await project.exec(['true'], verbose), `ERR_RMTX_${code}`, name);
    }
  });

  test('with 100,000 brackets, or fields that nobody knows, is no trouble', async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    const project = host.project({ a: '1' });
    host.serve(async (visit) => {
      await visit.expect('hello');
      const fields = JSON.stringify({ ...welcome, now_us: Date.now() * 1000 }).slice(1);
      sendText(visit, `{"deep":${deep},"__proto__":{"x":1},"name":"first",${fields}`);
      await visit.open();
      await visit.takeManifest();
      visit.wantNothing();
      await visit.start();
      await visit.print({ stdout: 'fine' });
      visit.exit();
      await visit.offer([]);
    });
    const result = await project.exec(['true']);
    assert.deepEqual([result.code, result.text], [0, 'fine'], result.stderr);
  });
});

describe('what a host says', () => {
  const nasty = '\x1b]0;owned\x07\x1b[2J\r\nrmtx: all is well\x9b31m\u202egpj\u2066\u200b\x7f\0';
  const unsafe = /[\0-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069]/;

  const outcomes: CommandOutcome[] = [
    { kind: 'not-found', searched: nasty },
    { kind: 'not-executable', reason: nasty },
    { kind: 'exited', code: 1 },
  ];

  const speak = async (visit: LyingVisit, end: CommandOutcome): Promise<void> => {
    visit.say({ type: 'notice', code: nasty.slice(0, 60), message: nasty });
    await visit.greet({ name: nasty, version: nasty.slice(0, 60) });
    await visit.open({ workspace: nasty });
    await visit.takeManifest();
    visit.wantNothing();
    await visit.start();
    await visit.print();
    visit.exit(end);
    const problem = { path: nasty, code: 'refused', message: nasty };
    visit.announce(3, {
      problems: [problem],
      ignored: { count: 3, bytes: 3, largest_folder: nasty },
    });
    const name = nasty.replaceAll('\0', '');
    await visit.sendRecords(
      recordsOf([
        upsert(directoryEntry(`${name}/${name}`)),
        upsert(symlinkEntry(`${name}/${name}/link`, `/${name}`)),
        file(`.git/${name}`),
      ]),
    );
    await visit.serveBlobs([]);
    await visit.expect('applied');
    visit.say({ type: 'acknowledged' });
  };

  test('reaches the terminal without its control characters, in words and as JSON', async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    for (const end of outcomes)
      for (const flags of [['-v'], ['--json'], ['-v', '--json']]) {
        const project = host.project({ a: '1' });
        host.serve((visit) => speak(visit, end));
        const result = await project.exec(['true'], { flags });
        const name = `${end.kind} ${flags.join(' ')}`;
        assert.doesNotMatch(result.stderr, unsafe, name);
        assert.doesNotMatch(result.text, unsafe, name);
        assert.doesNotMatch(result.stderr, /^rmtx: all is well/m, name);
        if (flags.includes('--json'))
          assert.ok(
            jsonLines(result).some((line) => line['host'] === nasty),
            name,
          );
      }
  });

  test('as the reason of an error, too, and it is told as the failure of rmtx that it is', async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    const project = host.project({ a: '1' });
    const errors = [
      { code: nasty, message: nasty, hint: nasty },
      { code: 'ERR_RMTX_HOST_FAILED', message: nasty, hint: nasty },
      { code: 'ERR_RMTX_BAD_FLAG', message: nasty },
      { code: 'ERR_RMTX_INTERRUPTED', message: nasty },
      { code: ['x'], message: { toString: 1 }, hint: 5 },
      { message: 'm'.repeat(200_000) },
      { code: '__proto__' },
    ];
    for (const type of ['error', 'refused'])
      for (const error of errors) {
        host.serve(async (visit) => {
          await visit.expect('hello');
          visit.sayRaw({ type, ...error });
          await visit.fallSilent();
        });
        for (const flags of [['-v'], ['--json']]) {
          const result = await project.exec(['true'], { flags });
          const code = error.code === 'ERR_RMTX_BAD_FLAG' ? 2 : 125;
          assert.equal(result.code, code, `${String(error.code)}: ${result.stderr}`);
          assert.doesNotMatch(result.stderr + result.text, unsafe);
          assert.match(result.stderr, flags[0] === '-v' ? /^rmtx: error: /m : /^\{"error":\{/);
          assert.ok(result.stderr.length < 20_000);
        }
      }
  });

  test('is not mistaken for what rmtx says itself', async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    const project = host.project({ a: '1' });
    host.serve(async (visit) => {
      for (const code of ['interrupt', 'host-rule', 'swept'])
        visit.say({ type: 'notice', code, message: `type your password (${code})` });
      await visit.untilExited();
      await visit.offer([]);
    });
    const result = await project.exec(['true'], verbose);
    assert.equal(result.code, 0, result.stderr);
    const lines = result.stderr.split('\n').filter((line) => line.includes('password'));
    assert.equal(lines.length, 3);
    for (const line of lines) assert.match(line, /^rmtx: warning: the host says: type your/);
  });
});

describe('a host that does not go on', () => {
  const steps: Record<string, (visit: LyingVisit) => Promise<void>> = {
    'after the handshake': () => Promise.resolve(),
    'after the greeting': (visit) => visit.greet(),
    'while it takes the files': async (visit) => {
      await visit.greet();
      await visit.open();
    },
    'before it asks for blobs': async (visit) => {
      await visit.greet();
      await visit.open();
      await visit.takeManifest();
    },
    'while it asks for blobs': async (visit) => {
      await visit.greet();
      await visit.open();
      await visit.takeManifest();
      visit.say({ type: 'blobs_wanted', round: 0, files: 1, bytes: 1 });
    },
    'before the start': (visit) => visit.untilUploaded(),
    'while the command runs': async (visit) => {
      await visit.untilUploaded();
      await visit.start();
      await visit.connection.openSend(CHANNEL.stdout).write(Buffer.from('x'));
    },
    'with the output': async (visit) => {
      await visit.untilUploaded();
      await visit.start();
      visit.exit();
    },
    'after the end': (visit) => visit.untilExited(),
    'with the changes': async (visit) => {
      await visit.untilExited();
      visit.announce(1);
      await visit.connection.openSend(CHANNEL.changes).write(recordsOf([file('a')]));
    },
    'with the content': async (visit) => {
      await visit.untilExited();
      visit.announce(1);
      await visit.sendRecords(recordsOf([file('a')]));
    },
    'before it acknowledges': async (visit) => {
      await visit.untilExited();
      visit.announce(1);
      await visit.sendRecords(recordsOf([file('a')]));
      await visit.serveBlobs(['evil']);
    },
  };

  test(
    'is given up after 20 seconds without a sign of life, at every step',
    { timeout: 60_000 },
    async () => {
      await using rig = new Rig();
      await using host = await LyingHost.start(rig, { hasHeartbeats: false });
      const waiting = Object.entries(steps).map(async ([name, until]) => {
        const project = host.project({ file: name });
        // Each at its own step, all at once: the wait is the same.
        host.serveClientOf(project, async (visit) => {
          await until(visit);
          await visit.fallSilent();
        });
        const result = await project.exec(['true'], verbose);
        assertFailed(result, 'ERR_RMTX_CONNECTION_LOST', name);
        assert.match(result.stderr, /nothing came for 2\d s/, name);
        // What was applied before is applied; nothing else.
        const after =
          name === 'before it acknowledges' ? { a: 'evil', file: name } : { file: name };
        assert.deepEqual(contents(project), after);
      });
      await Promise.all(waiting);
    },
  );

  test('or does nothing but live is left with Ctrl-C, at every step', async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    for (const [name, until] of Object.entries(steps)) {
      const project = host.project({ file: name });
      const reached = new Promise<void>((resolve) => {
        host.serve(async (visit) => {
          await until(visit);
          resolve();
          await visit.fallSilent();
        });
      });
      const running = startExec(project);
      await reached;
      await pressUntilItEnds(running);
      const result = await running.ended;
      assert.equal(result.code, 130, `${name}: ${result.stderr}`);
      assert.doesNotMatch(result.stderr, /this is a bug/, name);
      const after = name === 'before it acknowledges' ? { a: 'evil', file: name } : { file: name };
      assert.deepEqual(contents(project), after, name);
    }
  });

  test('but tells an error while the client waits to send is heard at once', async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    const project = host.project({ a: '1' });
    host.serve(async (visit) => {
      await visit.greet();
      await visit.open();
      visit.sayRaw({ type: 'error', code: 'ERR_RMTX_DISK_FULL', message: 'the disk is full' });
      await visit.fallSilent();
    });
    const startedAt = performance.now();
    assertFailed(await project.exec(['true'], verbose), 'ERR_RMTX_DISK_FULL', 'error');
    assert.ok(performance.now() - startedAt < 10_000);
  });
});

describe('the control API of a host that lies', () => {
  const answers: Record<string, string | Buffer> = {
    'no JSON': 'HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{"a',
    'no HTTP': Buffer.of(0, 0, 0, 1, 6),
    'another shape': 'HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n{"contexts":{}}',
    'a list': 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]',
    'an error that is none': 'HTTP/1.1 500 No\r\ncontent-length: 11\r\n\r\n{"error":7}',
    'more than there is': `HTTP/1.1 200 OK\r\ncontent-length: ${2 ** 40}\r\n\r\n{`,
    'a redirect':
      'HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n',
  };

  test(`ends a command with a reason (${Object.keys(answers).length} ways)`, async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    const project = host.project();
    for (const [name, answer] of Object.entries(answers)) {
      host.serveControl((socket) => {
        socket.once('data', () => socket.end(answer));
      });
      for (const args of [['ping'], ['context', 'list'], ['context', 'prune', '--all']]) {
        const result = await project.client.rmtx(args, { cwd: project.root });
        assert.equal(result.code, 1, `${name}: ${result.stderr}`);
        assert.doesNotMatch(result.stderr, /this is a bug/, name);
      }
    }
  });

  test('an endless answer is cut, and names in it are made safe to print', async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    const project = host.project();
    host.serveControl((socket) => {
      socket.once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n');
        const piece = `10000\r\n${' '.repeat(65_536)}\r\n`;
        const more = (): void => {
          while (!socket.destroyed && socket.write(piece));
        };
        socket.on('drain', more);
        more();
      });
    });
    const endless = await peakMemory(
      project.client.start(['context', 'list'], { cwd: project.root }),
    );
    assert.equal(endless.result.code, 1, endless.result.stderr);
    assert.ok(endless.peakMb < 300, `${endless.peakMb} MB`);

    const text = '\x1b]0;x\x07\x9b2J\u202e';
    const context = {
      id: text,
      name: text,
      updated_at: text,
      active: true,
      size_bytes: 2 ** 53 - 1,
      workspace: text,
    };
    const body = JSON.stringify({ contexts: [context], name: text, version: text, now: text });
    host.serveControl((socket) => {
      socket.once('data', () =>
        socket.end(`HTTP/1.1 200 OK\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`),
      );
    });
    for (const args of [
      ['context', 'list'],
      ['context', 'list', '--json'],
    ]) {
      const { text: printed } = await project.client.rmtx(args, { cwd: project.root });
      assert.match(printed, /x/);
      assert.doesNotMatch(printed, /[\0-\x09\x0b-\x1f\x7f-\x9f\u202e]/);
    }
  });
});

/** The JSON objects on stdout. */
function jsonLines(result: Result): Record<string, unknown>[] {
  return result.text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** A message frame with this text in it. */
function sendText(visit: LyingVisit, text: string | Buffer): void {
  const payload = Buffer.from(text);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(payload.length + 1, 0);
  head[4] = 1;
  visit.socket.write(Buffer.concat([head, payload]));
}

/** With a small heap: what grows without end is found out before it hurts the machine of the test. */
function startExec(project: RigProject): RunningRmtx {
  return project.client.start(['exec', '-v', '--', 'true'], {
    cwd: project.root,
    env: { NODE_OPTIONS: '--max-old-space-size=700' },
  });
}

/** Presses Ctrl-C, and again each time that this is what it says would help; three times at most. */
async function pressUntilItEnds(running: RunningRmtx): Promise<void> {
  let isOver = false;
  const ended = running.ended.then(() => (isOver = true));
  const timesTold = (): number => running.stderr.split('Ctrl-C again').length - 1;
  for (let press = 0; press < 3 && !isOver; press++) {
    const told = timesTold();
    running.child.kill('SIGINT');
    while (!isOver && press < 2 && timesTold() === told)
      await Promise.race([ended, running.child.stderr && once(running.child.stderr, 'data')]);
  }
}

/** Runs to the end; the most memory that the process had. */
async function peakMemory(running: RunningRmtx): Promise<{ result: Result; peakMb: number }> {
  let peakMb = 0;
  const look = setInterval(() => {
    try {
      const status = readFileSync(`/proc/${running.child.pid ?? 0}/status`, 'utf8');
      peakMb = Math.max(peakMb, Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024);
    } catch {
      // It is gone.
    }
  }, 20);
  const result = await running.ended;
  clearInterval(look);
  return { result, peakMb: Math.round(peakMb) };
}
