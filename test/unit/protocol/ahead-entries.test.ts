import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { AheadEntryReceiver } from '../../../src/protocol/ahead-entry-receiver.js';
import { AheadEntrySender } from '../../../src/protocol/ahead-entry-sender.js';
import { MAX_ENTRY_CONTENT_BYTES } from '../../../src/protocol/blob-records.js';
import { digestBytes, hashBytes, toDigest } from '../../../src/store/digest.js';
import { comparePaths } from '../../../src/sync/entry.js';
import type { DirectoryEntry, FileEntry } from '../../../src/sync/entry.js';
import {
  directoryEntry,
  fileEntry,
  pathArbitrary,
  symlinkEntry,
  withParents,
} from '../../support/entries.js';
import { recordOf } from '../../support/lying-client.js';
import { upserts } from '../../support/lying-entries.js';

type Item = DirectoryEntry | { readonly file: FileEntry; readonly bytes: Buffer };

const fileOf = (path: string, bytes: Uint8Array): FileEntry => ({
  ...(fileEntry(path, '') as FileEntry),
  size: bytes.length,
  digest: toDigest(hashBytes(bytes)),
});

async function sent(items: readonly Item[]): Promise<Buffer> {
  const pieces: Buffer[] = [];
  const sender = new AheadEntrySender((piece) => {
    pieces.push(Buffer.from(piece));
    return Promise.resolve();
  });
  for (const item of items) {
    if ('file' in item) sender.addFile(item.file, digestBytes(item.file.digest), item.bytes);
    else sender.addDirectory(item);
    if (!sender.hasRoom) await sender.flush();
  }
  await sender.finish();
  return Buffer.concat(pieces);
}

function received(pieces: Iterable<Uint8Array>): Item[] {
  const items: Item[] = [];
  const receiver = new AheadEntryReceiver({
    directory: (entry) => items.push(entry),
    file: (entry, bytes) => items.push({ file: entry, bytes: Buffer.from(bytes) }),
  });
  for (const piece of pieces) receiver.push(piece);
  receiver.end();
  return items;
}

function* cut(bytes: Buffer, sizes: readonly number[]): Generator<Buffer> {
  for (let start = 0, turn = 0; start < bytes.length; turn++) {
    const size = sizes[turn % sizes.length] ?? 1;
    yield Buffer.from(bytes.subarray(start, start + size));
    start += size;
  }
}

const entry = (record: Buffer): Buffer =>
  recordOf({ type: 'entry', length: record.length }, record);
const blob = (bytes: Buffer, digest: string): Buffer =>
  recordOf(
    { type: 'blob', digest: Buffer.from(digest.slice(-64), 'hex'), size: bytes.length },
    bytes,
  );

describe('entries ahead', () => {
  const nodeArbitrary = fc.record({
    path: pathArbitrary,
    bytes: fc.option(fc.uint8Array({ maxLength: 300 }), { nil: undefined }),
  });

  test('arrive as they were sent, wherever the bytes are cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(nodeArbitrary, { selector: ({ path }) => path, maxLength: 20 }),
        fc.array(fc.integer({ min: 1, max: 2000 }), { minLength: 1, maxLength: 5 }),
        async (nodes, sizes) => {
          const contents = new Map(nodes.map(({ path, bytes }) => [path, bytes]));
          const inOrder = nodes.toSorted((a, b) => comparePaths(a.path, b.path));
          const tree = withParents(
            inOrder.map(({ path, bytes }) =>
              bytes === undefined ? directoryEntry(path) : fileOf(path, bytes),
            ),
          );
          const items = tree.flatMap((found): Item[] =>
            found.kind === 'file'
              ? [{ file: found, bytes: Buffer.from(contents.get(found.path) ?? []) }]
              : found.kind === 'directory'
                ? [found]
                : [],
          );
          assert.deepEqual(received(cut(await sent(items), sizes)), items);
        },
      ),
    );
  });

  test('of the largest kind fit, many of them', async () => {
    const items = Array.from({ length: 9 }, (_, index): Item => {
      const bytes = randomBytes(MAX_ENTRY_CONTENT_BYTES);
      return { file: fileOf(`f${index}`, bytes), bytes };
    });
    const found = received(cut(await sent(items), [64 * 1024, 7]));
    assert.deepEqual(found, items);
  });

  const text = Buffer.from('text');
  const file = fileOf('d/f', text);
  const directory = entry(upserts(directoryEntry('d')));
  const lies: Record<string, readonly Buffer[]> = {
    'a file before its directory': [entry(upserts(file))],
    'a file below a file': [
      entry(upserts(fileOf('d', text))),
      blob(text, file.digest),
      entry(upserts(file)),
    ],
    'a file in a directory that was left': [
      directory,
      entry(upserts(directoryEntry('e'))),
      entry(upserts(fileOf('d/later', text))),
    ],
    'paths out of order': [
      entry(upserts(directoryEntry('d'))),
      entry(upserts(directoryEntry('c'))),
    ],
    'a path twice': [directory, directory],
    'a path out of the workspace': [entry(upserts(directoryEntry('../x')))],
    'a link': [entry(upserts(symlinkEntry('l', '/etc')))],
    'two entries in one': [entry(upserts(directoryEntry('a'), directoryEntry('b')))],
    'half an entry': [entry(upserts(directoryEntry('d')).subarray(0, 3))],
    'a deletion': [entry(Buffer.from([3, 0, 1, 0x61]))],
    'an empty record': [recordOf({ type: 'entry', length: 0 })],
    'a record too long': [recordOf({ type: 'entry', length: 1024 * 1024 })],
    'a content without an entry': [blob(text, file.digest)],
    'a content of another size': [
      directory,
      entry(upserts(file)),
      blob(Buffer.from('texts'), file.digest),
    ],
    'the name of another content': [directory, entry(upserts(file)), blob(text, '0'.repeat(64))],
    'an entry in the place of a content': [directory, entry(upserts(file)), entry(upserts(file))],
    'a stream': [directory, entry(upserts(file)), recordOf({ type: 'stream-end' })],
    'a file that is too large': [
      entry(
        upserts({ ...file, path: 'f' as FileEntry['path'], size: MAX_ENTRY_CONTENT_BYTES + 1 }),
      ),
    ],
    'no content at the end': [directory, entry(upserts(file))],
    'half a head at the end': [directory, entry(upserts(file)).subarray(0, 1)],
  };
  for (const [title, pieces] of Object.entries(lies))
    test(`with ${title} are refused`, () => {
      assert.throws(() => received(pieces), { code: 'ERR_RMTX_BAD_MESSAGE' });
    });

  test('with other bytes than those of the digest are refused', () => {
    const pieces = [directory, entry(upserts(file)), blob(Buffer.from('lies'), file.digest)];
    assert.throws(() => received(pieces), { code: 'ERR_RMTX_DIGEST_MISMATCH' });
  });
});
