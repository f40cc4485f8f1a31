import { formatDuration } from '../util/units.js';
import type { ConfigOrigin, ResolvedConfig } from './resolved-config.js';

/** One setting as `rmtx config show` lists it. */
export interface EffectiveValue {
  /** Dotted, as in the file: `tls.host_fingerprint`. */
  readonly key: string;
  /** In the file's own terms. Null: not set. */
  readonly value: string | number | boolean | null | readonly unknown[];
  readonly origin: ConfigOrigin;
}

/** Every setting in force, defaults included, in the order of the documentation. */
export function effectiveValues(config: ResolvedConfig): EffectiveValue[] {
  const { runtime } = config;
  const values: [string, EffectiveValue['value'] | undefined][] = [
    ['version', 1],
    ['context.name', config.contextName],
    ['host', config.host],
    ['tls.host_fingerprint', config.hostFingerprint],
    ['discovery.enabled', config.discovery.isEnabled],
    ['discovery.service', config.discovery.service],
    ['discovery.timeout', formatDuration(config.discovery.timeoutMs)],
    ['mounts', config.mounts],
    ['ignore', config.ignore],
    ['ignore_gitignore', config.ignoreGitignore],
    ['sync_back', config.syncBack],
    ['keep_on_host', config.keepOnHost],
    ['env.forward', config.envForward],
    ['runtime.type', runtime.type],
  ];
  if (runtime.type === 'oci')
    values.push(
      ['runtime.image', runtime.image],
      ['runtime.pull_policy', runtime.pullPolicy],
      ['runtime.workdir', runtime.workdir],
      ['runtime.network', runtime.network],
      ['runtime.user', runtime.user],
      ['runtime.gpu', runtime.gpu],
      ['runtime.wsl_distro', runtime.wslDistro],
      ['runtime.setup.image_commands', runtime.setup.imageCommands],
      ['runtime.setup.context_commands', runtime.setup.contextCommands],
      ['runtime.setup.context_inputs', runtime.setup.contextInputs],
      ['runtime.volumes', runtime.volumes],
    );
  return values.map(([key, value]) => ({
    key,
    value: value ?? null,
    origin: config.origins.get(key) ?? { kind: 'default' },
  }));
}
