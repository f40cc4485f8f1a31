import { openClientHome } from '../client/home.js';
import { transactionNames } from '../client/interrupted.js';
import type { Invocation } from './arguments.js';

/**
 * Finishes what a killed run left half-applied. Nearly always there is nothing, and one look finds that out;
 * what deals with the rest is loaded only then.
 */
export async function recover(invocation: Invocation): Promise<void> {
  const { directory } = openClientHome();
  if (hasNothingToFinish(directory)) return;
  const { finishInterrupted } = await import('./finish-interrupted.js');
  await finishInterrupted(invocation, directory);
}

function hasNothingToFinish(clientHome: string): boolean {
  try {
    return transactionNames(clientHome).length === 0;
  } catch {
    // A home that cannot be read is said by whoever reads it to finish something.
    return false;
  }
}
