import type { ValueOf } from './shape.js';
import type { configShape } from './config-shape.js';
import type { ConfigText } from './config-text.js';

export interface RuntimeVolume {
  readonly name: string;
  readonly target: string;
}

/** Commands run inside an image. Checked here in full; whether a host can do it is the host's answer. */
export interface OciRuntimeConfig {
  readonly type: 'oci';
  readonly image: string;
  readonly pullPolicy: 'if_missing' | 'always' | 'never';
  readonly workdir: string;
  readonly network: 'host' | 'none';
  readonly user: 'root';
  readonly gpu: 'none' | 'nvidia';
  /** Needed by Windows hosts only. */
  readonly wslDistro: string | undefined;
  readonly setup: {
    readonly imageCommands: readonly string[];
    readonly contextCommands: readonly string[];
    /** Undefined: the context commands run before every command. */
    readonly contextInputs: readonly string[] | undefined;
  };
  readonly volumes: readonly RuntimeVolume[];
}

/** Where commands run: straight on the host, or in an image. */
export type RuntimeConfig = { readonly type: 'process' } | OciRuntimeConfig;

type RawRuntime = ValueOf<(typeof configShape)['keys']['runtime']>;

/** Fills in the defaults and refuses volumes that clash with each other or with the workspace. */
export function resolveRuntime(raw: RawRuntime | undefined, source: ConfigText): RuntimeConfig {
  if (raw === undefined) return { type: 'process' };
  const workdir = normalizeRuntimePath(raw.workdir ?? '/workspace');
  return {
    type: 'oci',
    image: raw.image ?? '',
    pullPolicy: raw.pull_policy ?? 'if_missing',
    workdir,
    network: raw.network ?? 'host',
    user: raw.user ?? 'root',
    gpu: raw.gpu ?? 'none',
    wslDistro: raw.wsl_distro,
    setup: {
      imageCommands: raw.setup?.image_commands ?? [],
      contextCommands: raw.setup?.context_commands ?? [],
      contextInputs: raw.setup?.context_inputs,
    },
    volumes: resolveVolumes(raw.volumes ?? [], workdir, source),
  };
}

function resolveVolumes(
  raw: readonly Partial<RuntimeVolume>[],
  workdir: string,
  source: ConfigText,
): RuntimeVolume[] {
  const volumes: RuntimeVolume[] = [];
  for (const [index, { name = '', target: written = '' }] of raw.entries()) {
    const target = normalizeRuntimePath(written);
    const complain = (key: string, what: string): never => {
      throw source.errorFor(['runtime', 'volumes', index, key], what);
    };
    if (volumes.some((other) => other.name === name)) complain('name', 'is there twice');
    if (volumes.some((other) => other.target === target)) complain('target', 'is there twice');
    // A volume inside the workspace (a package folder) is fine; one over it would hide the project.
    if (workdir === target || workdir.startsWith(`${target}/`))
      complain('target', `would hide the workspace at ${workdir}`);
    volumes.push({ name, target });
  }
  return volumes;
}

/** `/a//b/./c/` → `/a/b/c`; ".." has been refused. */
function normalizeRuntimePath(value: string): string {
  return `/${value
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/')}`;
}
