import type { BlobDataHead } from '../../src/protocol/blob-records.js';
import type { BlobRequest } from '../../src/protocol/blob-requests.js';
import { hashBytes, toDigest } from '../../src/store/digest.js';

export type AnswerBlob = (
  request: BlobRequest,
  send: (head: BlobDataHead, body?: Uint8Array) => void,
) => void;

/** Serves these contents, small ones, and says of the others that they are gone. */
export function answersOf(contents: readonly string[]): AnswerBlob {
  const known = new Map(
    contents.map((text) => [toDigest(hashBytes(Buffer.from(text))), Buffer.from(text)]),
  );
  return (request, send) => {
    if (request.type === 'round-end') {
      send({ type: 'round-end' });
      return;
    }
    const body = known.get(toDigest(request.digest));
    if (body === undefined) send({ type: 'gone', digest: request.digest });
    else send({ type: 'blob', digest: request.digest, size: body.length }, body);
  };
}
