import type { Invocation } from '../arguments.js';
import { EXIT_USAGE } from '../exit-code.js';
import { helpText } from '../help.js';

/** `rmtx` alone is a mistake that gets the same text, on stderr. */
export function run(invocation: Invocation): Promise<number> {
  const text = helpText(invocation.operands);
  (invocation.isBare ? process.stderr : process.stdout).write(text);
  return Promise.resolve(invocation.isBare ? EXIT_USAGE : 0);
}
