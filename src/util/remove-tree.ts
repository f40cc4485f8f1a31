import { chmod, lstat, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { systemErrorCode } from '../errors.js';

/**
 * Deletes a tree, also one that holds read-only directories (Go's module cache, Nix, Bazel leave such);
 * links in it are removed, never followed. Nothing there is no error.
 */
export async function removeTree(directory: string): Promise<void> {
  try {
    await rm(directory, { recursive: true, force: true });
  } catch (error) {
    if (!['EACCES', 'EPERM', 'ENOTEMPTY'].includes(systemErrorCode(error) ?? '')) throw error;
    await openUp(directory);
    await rm(directory, { recursive: true, force: true });
  }
}

async function openUp(directory: string): Promise<void> {
  const stats = await lstat(directory);
  if (!stats.isDirectory()) return;
  await chmod(directory, 0o700);
  for (const entry of await readdir(directory, { withFileTypes: true }))
    if (entry.isDirectory()) await openUp(path.join(directory, entry.name));
}
