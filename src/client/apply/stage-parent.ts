import path from 'node:path';

/** Where transactions lie; a file of its own so that looking whether there are any loads nothing else. */
export function stageParent(clientHome: string): string {
  return path.join(clientHome, 'stage');
}
