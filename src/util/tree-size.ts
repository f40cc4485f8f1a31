import { lstatSync, readdirSync } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import path from 'node:path';

/** Bytes that the regular files of a tree hold; what vanishes or cannot be read counts nothing. */
export async function treeSize(directory: string): Promise<number> {
  let total = 0;
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    const child = path.join(directory, entry.name);
    if (entry.isDirectory()) total += await treeSize(child);
    else if (entry.isFile()) total += (await lstat(child).catch(() => undefined))?.size ?? 0;
  }
  return total;
}

/** The same at once, for a short-lived process that has nothing else to do. */
export function treeSizeSync(directory: string): number {
  let total = 0;
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const child = path.join(directory, entry.name);
    if (entry.isDirectory()) total += treeSizeSync(child);
    else if (entry.isFile()) total += lstatSync(child, { throwIfNoEntry: false })?.size ?? 0;
  }
  return total;
}
