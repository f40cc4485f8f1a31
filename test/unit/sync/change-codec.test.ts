import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ChangeDecoder, MAX_RECORD_BYTES, encodeChange } from '../../../src/sync/change-codec.js';
import type { Entry, ManifestChange, WorkspacePath } from '../../../src/sync/entry.js';
import { ByteWriter } from '../../../src/util/bytes.js';
import { directoryEntry, fileEntry, symlinkEntry } from '../../support/entries.js';

const DIRECTORY = 2;
const SYMLINK = 3;

describe('ChangeDecoder', () => {
  const refusedPaths = [
    '',
    '/abs',
    '../x',
    'a/../../x',
    '.',
    'a/./b',
    'a//b',
    'a/',
    'nul\0',
    'x'.repeat(256),
  ];
  for (const text of refusedPaths)
    test(`refuses the path ${JSON.stringify(text).slice(0, 20)}`, () => {
      refuses(record(DIRECTORY, (body) => body.prefixed(Buffer.from(text)).varint(0o755)));
    });

  test('refuses a path of more than 4096 bytes, a name of each being allowed', () => {
    const long = Array.from({ length: 21 }, () => 'x'.repeat(200)).join('/');
    refuses(record(DIRECTORY, (body) => body.prefixed(Buffer.from(long)).varint(0o755)));
  });

  test('refuses set-uid, set-gid and sticky bits', () => {
    for (const mode of [0o4755, 0o2755, 0o1777])
      refuses(record(DIRECTORY, (body) => body.prefixed(Buffer.from('d')).varint(mode)));
  });

  test('refuses a link to nothing, to a name with a NUL, and beyond the limit of the system', () => {
    for (const target of ['', 'a\0b', 'x'.repeat(4096)])
      refuses(
        record(SYMLINK, (body) => body.prefixed(Buffer.from('l')).prefixed(Buffer.from(target))),
      );
  });

  test('refuses numbers beyond 2^53', () => {
    const huge = Buffer.alloc(9, 0xff);
    refuses(record(1, (body) => body.prefixed(Buffer.from('f')).varint(0o644).raw(huge)));
  });

  test('refuses unknown kinds, records cut short and records with more than their fields', () => {
    refuses(record(9, (body) => body.prefixed(Buffer.from('f'))));
    refuses(record(DIRECTORY, (body) => body.prefixed(Buffer.from('d'))));
    refuses(record(DIRECTORY, (body) => body.prefixed(Buffer.from('d')).varint(0o755).u8(0)));
    refuses(Buffer.of(0));
  });

  test('refuses a record over the limit before it has arrived', () => {
    refuses(new ByteWriter().varint(MAX_RECORD_BYTES + 1).take());
    refuses(Buffer.alloc(4, 0xff));
  });

  test('refuses a path twice and paths out of order, also between two pieces', () => {
    const decoder = new ChangeDecoder();
    decoder.push(encoded({ type: 'upsert', entry: directoryEntry('b') }));
    const again = encoded({ type: 'delete', path: 'b' as WorkspacePath });
    assert.throws(() => decoder.push(again), {
      code: 'ERR_RMTX_BAD_MESSAGE',
      message: /out of order/,
    });
  });

  test('says when the stream ends inside a record', () => {
    const decoder = new ChangeDecoder();
    decoder.push(encoded({ type: 'upsert', entry: fileEntry('a', 'x') }).subarray(0, 20));
    assert.throws(() => decoder.end(), { code: 'ERR_RMTX_BAD_MESSAGE' });
  });

  test('keeps no hold on the bytes it was given', () => {
    const bytes = encoded({ type: 'upsert', entry: symlinkEntry('link', 'target') });
    const decoder = new ChangeDecoder();
    decoder.push(bytes.subarray(0, 10)).forEach(() => assert.fail());
    const rest = Buffer.from(bytes.subarray(10));
    bytes.fill(0);
    assert.deepEqual(decoder.push(rest), [
      { type: 'upsert', entry: symlinkEntry('link', 'target') },
    ]);
  });

  test('carries the whole range of times', () => {
    for (const mtimeUs of [-1, 0, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER]) {
      const entry: Entry = fileEntry('a', 'x', { mtimeUs });
      assert.deepEqual(new ChangeDecoder().push(encoded({ type: 'upsert', entry })), [
        { type: 'upsert', entry },
      ]);
    }
  });
});

function encoded(change: ManifestChange): Buffer {
  const writer = new ByteWriter();
  encodeChange(writer, change);
  return writer.take();
}

function record(tag: number, fill: (body: ByteWriter) => ByteWriter): Buffer {
  const body = fill(new ByteWriter().u8(tag)).take();
  return new ByteWriter().prefixed(body).take();
}

function refuses(bytes: Buffer): void {
  assert.throws(() => new ChangeDecoder().push(bytes), { code: 'ERR_RMTX_BAD_MESSAGE' });
}
