import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { openFifos } from '../../../src/runtime/fifo.js';
import { PreparedStreams, prepareStreams } from '../../../src/runtime/streams.js';
import { run, temporaryDirectory } from '../../support/commands.js';

const unixOnly = { skip: process.platform === 'win32' ? 'no FIFOs on Windows' : false };
const linuxOnly = { skip: process.platform === 'linux' ? false : 'looks into /proc' };

test('FIFOs carry all three streams and leave no name behind', unixOnly, async (t) => {
  const scratchDirectory = temporaryDirectory(t);
  const fifos = await openFifos(scratchDirectory);
  assert.ok(fifos !== undefined);
  assert.deepEqual(readdirSync(scratchDirectory), []);
  const streams = new PreparedStreams(fifos);
  const input = Buffer.alloc(300_000, 'to and fro ');
  const { stdout, stderr } = await run(['sh', '-c', 'cat; echo said >/dev/stderr'], {
    streams,
    scratchDirectory,
    input,
  });
  assert.equal(stdout.equals(input), true);
  assert.equal(stderr.toString(), 'said\n');
});

test('no FIFOs where they cannot be made, and nothing left behind', unixOnly, async () => {
  const open = descriptors();
  assert.equal(await openFifos('/nonexistent/directory'), undefined);
  assert.equal(descriptors(), open);
});

test('many streams at once, all closed when they are not used', linuxOnly, async (t) => {
  const scratchDirectory = temporaryDirectory(t);
  const open = descriptors();
  const all = await Promise.all(Array.from({ length: 8 }, () => prepareStreams(scratchDirectory)));
  assert.equal(descriptors(), open + 8 * 6);
  for (const streams of all) streams?.[Symbol.dispose]();
  for (const streams of all) streams?.[Symbol.dispose]();
  assert.equal(descriptors(), open);
});

function descriptors(): number {
  return process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0;
}
