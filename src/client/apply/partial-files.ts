import { lstatSync, rmSync } from 'node:fs';
import path from 'node:path';
import { PartialBlobs, isHeld } from '../../store/partial-blobs.js';

const MAX_AGE_MS = 7 * 24 * 60 * 60 * 1000;

/** Large files on their way here outlive their transaction, in `<home>/partial/`. */
export function partialsOf(clientHome: string): PartialBlobs {
  return new PartialBlobs(clientHome);
}

/** Removes those that nobody came back for. */
export function prunePartials(clientHome: string): void {
  const partials = partialsOf(clientHome);
  const oldest = Date.now() - MAX_AGE_MS;
  for (const name of partials.names()) {
    const file = path.join(partials.directory, name);
    const stats = lstatSync(file, { throwIfNoEntry: false });
    if (stats !== undefined && stats.mtimeMs < oldest && !isHeld(name))
      rmSync(file, { force: true });
  }
}
