type Ending =
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'signalled'; readonly number: number }
  | { readonly kind: 'timed-out' | 'not-found' | 'not-executable' };

/**
 * What `exec` exits with when its command ended so: the command's own code, and for the rest the numbers that
 * shells and timeout(1) use.
 */
export function exitCodeOf(ending: Ending): number {
  switch (ending.kind) {
    case 'exited':
      return ending.code;
    case 'signalled':
      return 128 + ending.number;
    case 'timed-out':
      return 124;
    case 'not-found':
      return 127;
    case 'not-executable':
      return 126;
  }
}
