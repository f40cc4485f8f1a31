/** Whether there is anything to recover: a question of every start, so what answers it is small. */
import { readdirSync } from 'node:fs';
import { systemErrorCode } from '../errors.js';
import { stageParent } from './apply/stage-parent.js';

/**
 * The names of this client's transactions, live ones and leftovers included; costs one readdir. Throws only
 * where the home itself cannot be read.
 */
export function transactionNames(clientHome: string): string[] {
  try {
    return readdirSync(stageParent(clientHome)).sort();
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw error;
  }
}
