import assert from 'node:assert/strict';
import { fork, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { isRmtxError } from '../../../src/errors.js';
import { BlobStore } from '../../../src/store/blob-store.js';
import { hashBytes, toDigest } from '../../../src/store/digest.js';
import { digestOf, leftovers, pathOf, place, read } from '../../support/blob-places.js';

const STARTS = { nothing: 8, 'truncated ones': 4, 'corrupt ones': 4 } as const;
const ROUNDS = 15;

/** A process that puts the same blobs as all the others and reads each back. */
function runWriter(directory: string): void {
  const store = new BlobStore(directory);
  for (let round = 0; round < ROUNDS; round++) {
    const bytes = Buffer.alloc(40_000, `round ${round} `);
    const digest = toDigest(hashBytes(bytes));
    store.putBytes(digest, bytes);
    const fd = new BlobStore(directory).open(digest);
    if (fd === undefined || !readFileSync(fd).equals(bytes)) process.exit(1);
    closeSync(fd);
  }
  process.exit(0);
}

if (process.argv[2] === 'writer') runWriter(process.argv[3] ?? '');

for (const start of Object.keys(STARTS) as (keyof typeof STARTS)[]) {
  const writers = STARTS[start];
  test(`${writers} processes put the same blobs at once, starting from ${start}`, async () => {
    using at = place();
    for (let round = 0; round < ROUNDS && start !== 'nothing'; round++) {
      const bytes = Buffer.alloc(40_000, `round ${round} `);
      const file = pathOf(at.directory, digestOf(bytes));
      mkdirSync(path.dirname(file), { recursive: true });
      writeFileSync(
        file,
        start === 'truncated ones' ? bytes.subarray(0, 10_000) : bytes.fill(0, 9),
      );
    }
    const exits = Array.from({ length: writers }, async () => {
      const [code] = (await once(fork(__filename, ['writer', at.directory]), 'exit')) as [number];
      return code;
    });
    assert.deepEqual(await Promise.all(exits), Array<number>(writers).fill(0));
    const store = new BlobStore(at.directory);
    for (let round = 0; round < ROUNDS; round++) {
      const bytes = Buffer.alloc(40_000, `round ${round} `);
      assert.equal(read(store, digestOf(bytes)), bytes.toString('utf8'));
    }
    assert.deepEqual(
      leftovers(at.directory).filter((name) => !name.startsWith('quarantine/')),
      [],
    );
  });
}

/** In a file system of 256 KiB of its own, which an unprivileged user name space allows. */
function runFull(directory: string): void {
  const store = new BlobStore(directory);
  const bytes = Buffer.alloc(400_000, 'x');
  const source = path.join(directory, '..', '..', 'source');
  writeFileSync(source, bytes);
  const fd = openSync(source, 'r');
  const codes = [
    (): void => store.putBytes(toDigest(hashBytes(bytes)), bytes),
    (): void => void store.putFromFd(fd, bytes.length),
    (): void => void store.adopt(toDigest(hashBytes(bytes)), source),
  ].map((put) => {
    try {
      put();
      return 'stored';
    } catch (error) {
      return isRmtxError(error) ? error.code : String(error);
    }
  });
  const left = readdirSync(directory, { recursive: true }).length;
  store.putBytes(digestOf('small'), Buffer.from('small'));
  console.log(JSON.stringify({ codes, left, isSourceThere: existsSync(source) }));
  process.exit(0);
}

if (process.argv[2] === 'full') runFull(process.argv[3] ?? '');

test('says that the disk is full, and leaves nothing behind', (context) => {
  using at = place();
  const mount = path.join(at.root, 'small');
  mkdirSync(mount);
  const script = `mount -t tmpfs -o size=256k tmpfs "$1" && exec "$2" "$3" full "$1/store"`;
  const ran = spawnSync(
    'unshare',
    ['-rm', 'sh', '-c', script, 'sh', mount, process.execPath, __filename],
    { encoding: 'utf8' },
  );
  if (ran.status !== 0 && /unshare|mount|ENOENT/.test(`${ran.stderr} ${String(ran.error)}`)) {
    context.skip('no unprivileged user name spaces here');
    return;
  }
  assert.deepEqual(JSON.parse(ran.stdout), {
    codes: ['ERR_RMTX_DISK_FULL', 'ERR_RMTX_DISK_FULL', 'ERR_RMTX_DISK_FULL'],
    left: 1,
    isSourceThere: true,
  });
});
