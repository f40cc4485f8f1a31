import path from 'node:path';
import type { ConfigText } from './config-text.js';
import { quoted } from './config-text.js';
import { canBeMounted, normalizePattern } from './patterns.js';
import { isInside, realPathIfExists } from './project-root.js';

export interface MountConfig {
  /** '/'-separated, relative to the project root; '.' is the whole project. */
  readonly path: string;
  readonly exclude: readonly string[];
}

interface RawMount {
  readonly path?: string;
  readonly exclude?: readonly string[];
}

interface Roots {
  /** Real path. */
  readonly projectRoot: string;
  /** The config's folder as it was named, for absolute mounts written through a link. */
  readonly namedRoot: string;
}

/**
 * The mounts as relative paths. Throws ERR_RMTX_CONFIG_UNTRUSTED for one that lies outside the project
 * root, by its text or through a link: a config must not be able to send what is not the project.
 * A mount that is missing passes: the scan says so.
 */
export function resolveMounts(
  raw: readonly RawMount[] | undefined,
  roots: Roots,
  source: ConfigText,
): MountConfig[] {
  if (raw === undefined) return [{ path: '.', exclude: [] }];
  if (raw.length === 0)
    throw source.errorFor(['mounts'], 'must name at least one folder', {
      hint: 'leave the key out to mount the whole project',
    });
  const mounts: MountConfig[] = [];
  for (const [index, { path: written = '.', exclude = [] }] of raw.entries()) {
    const relative = relativeMount(written, roots);
    if (relative === undefined)
      throw source.errorFor(
        ['mounts', index, 'path'],
        `${quoted(written)} lies outside the project root ${quoted(roots.projectRoot)}`,
        {
          code: 'ERR_RMTX_CONFIG_UNTRUSTED',
          hint: 'move the config up to a folder that holds all that the commands need',
        },
      );
    if (mounts.some((mount) => mount.path === relative))
      throw source.errorFor(['mounts', index, 'path'], `${quoted(relative)} is mounted twice`);
    mounts.push({ path: relative, exclude: exclude.map(normalizePattern) });
  }
  return mounts;
}

/** Throws ERR_RMTX_SYNC_BACK_OUTSIDE_MOUNTS for an entry of `sync_back` that no mount can cover. */
export function resolveSyncBack(
  raw: readonly string[] | null | undefined,
  mounts: readonly MountConfig[],
  source: ConfigText,
): string[] | null {
  if (raw === undefined || raw === null) return null;
  const paths = mounts.map((mount) => mount.path);
  return raw.map((written, index) => {
    const pattern = normalizePattern(written);
    if (!canBeMounted(pattern, paths))
      throw source.errorFor(
        ['sync_back', index],
        `${quoted(written)} lies in none of the mounts (${paths.map(quoted).join(', ')})`,
        {
          code: 'ERR_RMTX_SYNC_BACK_OUTSIDE_MOUNTS',
          hint: 'add its folder to "mounts", or leave it out of "sync_back"',
        },
      );
    return pattern;
  });
}

/** Undefined for a mount outside the root. */
function relativeMount(written: string, roots: Roots): string | undefined {
  const native = process.platform === 'win32' ? written.replaceAll('\\', '/') : written;
  // `~` is the shell's; nobody who writes it means a folder of that name.
  if (native === '~' || native.startsWith('~/')) return undefined;
  const relative = path.isAbsolute(native)
    ? fromAbsolute(native, roots)
    : path.posix.normalize(native);
  if (relative === undefined || relative === '..' || relative.startsWith('../')) return undefined;
  const trimmed = relative.replace(/\/+$/, '');
  if (trimmed === '.' || trimmed === '') return '.';
  const real = realPathIfExists(path.join(roots.projectRoot, trimmed));
  return real === undefined || isInside(real, roots.projectRoot) ? trimmed : undefined;
}

function fromAbsolute(absolute: string, roots: Roots): string | undefined {
  const root = [roots.namedRoot, roots.projectRoot].find((candidate) =>
    isInside(absolute, candidate),
  );
  return root === undefined
    ? undefined
    : path.relative(root, absolute).split(path.sep).join('/') || '.';
}
