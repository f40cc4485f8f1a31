import { renameSync } from 'node:fs';
import { systemErrorCode } from '../../errors.js';
import { printable } from '../../util/printable.js';
import type { StagedContent, Workbench } from './workbench.js';

/**
 * Keeps content that could not be put anywhere near its path, in the undo directory; returns where, or
 * undefined for a link, whose target its problem need not repeat, and where the stage is on another
 * device.
 */
export function saveRefused(
  bench: Workbench,
  { entry, staged }: StagedContent,
): string | undefined {
  if (entry.kind === 'symlink') return undefined;
  const name = `refused-${staged.slot}`;
  try {
    renameSync(bench.area(staged.area).at(staged.slot), bench.undo.at(name));
  } catch (error) {
    if (['ENOENT', 'EXDEV'].includes(systemErrorCode(error) ?? '')) return undefined;
    throw error;
  }
  return printable(bench.undo.shown(name));
}
