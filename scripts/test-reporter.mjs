// What `npm test` prints: a line for each file, then every failure in full, so that the end of a
// log always says what failed and where the time went.
import path from 'node:path';
import { inspect } from 'node:util';

const SLOWEST_SHOWN = 8;

const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`;

/** The name as it is in the source tree. */
function sourceName(file) {
  const relative = path.relative(process.cwd(), file);
  return relative.startsWith('dist')
    ? relative.replace(/^dist\//, '').replace(/\.js$/, '.ts')
    : relative;
}

/** @param {AsyncIterable<{ type: string, data: any }>} source the events of node's test runner */
export default async function* reporter(source) {
  const files = new Map();
  const failures = [];
  const diagnostics = [];
  const fileOf = (name) => {
    let file = files.get(name);
    if (!file) files.set(name, (file = { passed: 0, failed: 0, skipped: 0, ms: 0 }));
    return file;
  };
  for await (const { type, data } of source) {
    if (type === 'test:diagnostic') diagnostics.push(data.message);
    if (type === 'test:stderr' || type === 'test:stdout') yield data.message;
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const file = fileOf(data.file ?? data.name);
    if (data.nesting === 0) file.ms += data.details.duration_ms;
    if (type === 'test:fail') {
      failures.push(data);
      yield `✖ ${sourceName(data.file ?? data.name)}: ${data.name}\n`;
    }
    if (data.details.type === 'suite') continue;
    if (type === 'test:fail') file.failed += 1;
    else if (data.skip === undefined) file.passed += 1;
    else file.skipped += 1;
  }
  const bySpent = [...files].sort(([, one], [, other]) => other.ms - one.ms);
  yield `\nThe slowest of ${files.size} files:\n`;
  for (const [name, file] of bySpent.slice(0, SLOWEST_SHOWN)) {
    yield `  ${seconds(file.ms).padStart(8)}  ${sourceName(name)} (${file.passed} passed)\n`;
  }
  for (const failure of failures) {
    const error = failure.details.error?.cause ?? failure.details.error;
    yield `\n✖ ${sourceName(failure.file ?? failure.name)}:${failure.line ?? 0} ${failure.name}\n`;
    yield `${inspect(error, { depth: 6 }).replace(/^/gm, '    ')}\n`;
  }
  yield `\n${diagnostics.slice(-8).join(', ')}\n`;
}
