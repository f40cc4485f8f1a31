/** Entries and manifests as a lying client sends them: nothing is checked, neither paths nor order. */
import { encodeChange } from '../../src/sync/change-codec.js';
import { EntryTableBuilder } from '../../src/sync/entry-table-builder.js';
import { comparePaths } from '../../src/sync/entry.js';
import type { Entry, ManifestId } from '../../src/sync/entry.js';
import { ByteWriter } from '../../src/util/bytes.js';
import { fileEntry } from './entries.js';

/** The id of no manifest at all. */
export const NO_MANIFEST = `manifest:${'0'.repeat(64)}` as ManifestId;

export const file = (name: string, text = 'x'): Entry => fileEntry(name, text);

/** In walk order, as a manifest must be. */
export const ordered = (entries: readonly Entry[]): Entry[] =>
  [...entries].sort((a, b) => comparePaths(a.path, b.path));

export const upserts = (...entries: readonly Entry[]): Buffer => recordsOfEntries(entries);

export function recordsOfEntries(entries: Iterable<Entry>): Buffer {
  const writer = new ByteWriter();
  for (const entry of entries) encodeChange(writer, { type: 'upsert', entry });
  return Buffer.from(writer.view());
}

/** The id of a manifest; the entries must be in order, whatever else is wrong with them. */
export function manifestIdOf(entries: Iterable<Entry>): ManifestId {
  const builder = new EntryTableBuilder();
  for (const entry of entries) builder.add(entry);
  return builder.build().manifestId;
}
