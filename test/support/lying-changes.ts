/** Changes as a lying host sends them: nothing is checked. */
import { hashBytes } from '../../src/store/digest.js';
import type { Entry, ManifestChange, WorkspacePath } from '../../src/sync/entry.js';
import { ByteWriter } from '../../src/util/bytes.js';
import { fileEntry } from './entries.js';

export const upsert = (entry: Entry): ManifestChange => ({ type: 'upsert', entry });
export const file = (name: string, text = 'evil'): ManifestChange => upsert(fileEntry(name, text));
export const deletion = (name: string): ManifestChange => ({
  type: 'delete',
  path: name as WorkspacePath,
});

/** A file entry whose numbers are anything. */
export function rawFile(
  name: string,
  numbers: { mode?: number; size?: number; time?: number },
): Buffer {
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
