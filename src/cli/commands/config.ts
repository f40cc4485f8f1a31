import { effectiveValues } from '../../config/effective-values.js';
import type { EffectiveValue } from '../../config/effective-values.js';
import { resolveConfig } from '../../config/resolved-config.js';
import type { ResolvedConfig } from '../../config/resolved-config.js';
import type { Invocation } from '../arguments.js';
import { jsonDocument } from '../report/json.js';
import { renderTable, tabLine } from '../report/text.js';

export { recover } from '../recovery.js';

/** An invalid config is an error that names file, line and key; it is thrown before anything is printed. */
export function run({ command, flags }: Invocation): Promise<number> {
  const config = resolveConfig({ cwd: process.cwd(), configPath: flags.text('config') });
  if (command.name === 'config check')
    process.stdout.write(
      flags.has('json')
        ? jsonDocument({ valid: true, ...places(config) })
        : tabLine('ok', config.configFile),
    );
  else
    process.stdout.write(
      flags.has('json')
        ? jsonDocument({ ...places(config), values: effectiveValues(config) })
        : shown(config, flags.has('origin') ? 'origins' : 'values'),
    );
  return Promise.resolve(0);
}

function places(config: ResolvedConfig): object {
  return {
    config_file: config.configFile,
    local_file: config.localFile ?? null,
    project_root: config.projectRoot,
  };
}

function shown(config: ResolvedConfig, extent: 'values' | 'origins'): string {
  const values = effectiveValues(config);
  return extent === 'values'
    ? renderTable(
        ['KEY', 'VALUE'],
        values.map((each) => [each.key, valueText(each)]),
      )
    : renderTable(
        ['KEY', 'ORIGIN', 'VALUE'],
        values.map((each) => [each.key, originText(each), valueText(each)]),
      );
}

function valueText({ value }: EffectiveValue): string {
  if (value === null) return '-';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function originText({ origin }: EffectiveValue): string {
  return origin.kind === 'default' ? 'default' : `${origin.file}:${origin.line}`;
}
