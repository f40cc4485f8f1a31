/** Where `--host auto` took a project last: that is whom every command but `exec` means by it. */
import path from 'node:path';
import { mkdirSync } from 'node:fs';
import { contextKey } from '../config/context-key.js';
import type { ResolvedConfig } from '../config/resolved-config.js';
import { PRIVATE_DIRECTORY_MODE, readFileIfExists, writeFileAtomic } from '../util/atomic-file.js';
import { projectDirectory } from './home.js';
import type { ClientHome } from './home.js';

export function rememberAutoHost(
  home: ClientHome,
  config: ResolvedConfig,
  fingerprint: string,
): void {
  const file = memoryFile(home, config);
  if (readFileIfExists(file)?.toString() === fingerprint) return;
  mkdirSync(path.dirname(file), { recursive: true, mode: PRIVATE_DIRECTORY_MODE });
  writeFileAtomic(file, fingerprint);
}

/** Whatever the file holds: only the fingerprint of a paired host leads anywhere. */
export function lastAutoHost(
  home: ClientHome,
  config: ResolvedConfig | undefined,
): string | undefined {
  return config && readFileIfExists(memoryFile(home, config))?.toString();
}

function memoryFile(home: ClientHome, { projectRoot, contextName }: ResolvedConfig): string {
  return path.join(projectDirectory(home, contextKey(projectRoot, contextName)), 'auto-host');
}
