/** Blobs that go from files here to a directory there, by the real sender and receiver. */
import { randomFillSync } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { isRmtxError } from '../../src/errors.js';
import type { BlobReceiver } from '../../src/protocol/blob-receiver.js';
import { BlobSender } from '../../src/protocol/blob-sender.js';
import { SinkDirectory, SourceFiles } from './blob-peers.js';

export const MIB = 1024 * 1024;

export interface Place extends Disposable {
  readonly root: string;
  readonly source: SourceFiles;
  readonly sink: SinkDirectory;
}

export function place(): Place {
  const root = mkdtempSync(path.join(os.tmpdir(), 'rmtx-blobs-'));
  return {
    root,
    source: new SourceFiles(path.join(root, 'source')),
    sink: new SinkDirectory(path.join(root, 'sink')),
    [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true }),
  };
}

export interface Traffic {
  dataBytes: number;
  requestBytes: number;
}

/** Carries requests and data between the two until the round is over, without any connection. */
export async function transfer(
  place: Place,
  receiver: BlobReceiver,
  onData: (bytes: Buffer) => void = () => undefined,
): Promise<Traffic> {
  const traffic = { dataBytes: 0, requestBytes: 0 };
  const sender = new BlobSender(place.source, async (bytes) => {
    traffic.dataBytes += bytes.length;
    onData(bytes);
    receiver.push(bytes);
    // The memory is the sender's again from here on, and nobody may rely on what is in it.
    bytes.fill(0xee);
    await Promise.resolve();
  });
  for (;;) {
    while (receiver.work()) await Promise.resolve();
    const requests = receiver.takeRequests();
    if (requests === undefined) break;
    traffic.requestBytes += requests.length;
    await sender.push(requests);
  }
  sender.end();
  return traffic;
}

export function random(size: number): Buffer {
  return randomFillSync(Buffer.allocUnsafe(size));
}

export function hasCode(code: string): (error: unknown) => boolean {
  return (error) => isRmtxError(error) && error.code === code;
}

export const MISMATCH = hasCode('ERR_RMTX_DIGEST_MISMATCH');
export const BAD = hasCode('ERR_RMTX_BAD_MESSAGE');
