import { VERSION } from '../../version.js';
import type { Invocation } from '../arguments.js';
import { jsonDocument } from '../report/json.js';

export function run(invocation: Invocation): Promise<number> {
  process.stdout.write(
    invocation.flags.has('json')
      ? jsonDocument({
          version: VERSION,
          node: process.versions.node,
          platform: process.platform,
          arch: process.arch,
        })
      : `rmtx ${VERSION}\n`,
  );
  return Promise.resolve(0);
}
