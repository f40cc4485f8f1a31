import { resolveConfig } from '../../config/resolved-config.js';
import type { ResolvedConfig } from '../../config/resolved-config.js';
import { isRmtxError } from '../../errors.js';
import { failed, ok, warning } from './verdict.js';
import type { Finding } from './verdict.js';

/** Whether the project has a config, and a good one. Without one the host can be examined all the same. */
export function checkConfig(options: {
  readonly cwd: string;
  readonly configPath: string | undefined;
}): { readonly finding: Finding; readonly config: ResolvedConfig | undefined } {
  try {
    const config = resolveConfig(options);
    return { finding: ok(config.configFile), config };
  } catch (error) {
    if (!isRmtxError(error)) throw error;
    const isAbsent = error.code === 'ERR_RMTX_CONFIG_NOT_FOUND' && options.configPath === undefined;
    return { finding: isAbsent ? absent() : invalid(error), config: undefined };
  }
}

function absent(): Finding {
  return warning('no .rmtx.json here or above', {
    code: 'no-config',
    cause: 'this folder is in no project, and rmtx exec needs one',
    cure: ["in the project's top folder: rmtx init"],
  });
}

function invalid({ message, hint }: { message: string; hint: string | undefined }): Finding {
  return failed(message, {
    code: 'config-invalid',
    cause: 'rmtx exec refuses a config with a mistake in it',
    cure: [hint ?? 'correct it, then: rmtx config check'],
  });
}
