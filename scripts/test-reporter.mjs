// What `npm test` prints: where the time went, then every failure in full, so that the end of a log
// always says what failed. Of a process that was ended (a hang, a crash) it says what was going on in it.
import { readFileSync } from 'node:fs';
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

/** The files whose tests the process of this one runs: itself, or those that it loads. */
function filesOf(entry) {
  if (!entry.includes('test-groups')) return [sourceName(entry)];
  const loaded = readFileSync(entry, 'utf8').matchAll(/require\('(.*)'\)/g);
  return [...loaded].map(([, name]) => sourceName(path.join(path.dirname(entry), name)));
}

/** @param {AsyncIterable<{ type: string, data: any }>} source the events of node's test runner */
export default async function* reporter(source) {
  const files = new Map();
  const failures = [];
  const diagnostics = [];
  /** Those that have not ended, with whether they have begun. */
  const open = new Map();
  const fileOf = (name) => {
    let file = files.get(name);
    if (!file) files.set(name, (file = { passed: 0, failed: 0, skipped: 0, ms: 0 }));
    return file;
  };
  for await (const { type, data } of source) {
    const place = `${sourceName(data.file ?? '')}:${data.line}:${data.column} ${data.name}`;
    if (type === 'test:enqueue') open.set(place, { file: data.file, hasBegun: false });
    if (type === 'test:dequeue') open.set(place, { file: data.file, hasBegun: true });
    if (type === 'test:complete') open.delete(place);
    if (type === 'test:diagnostic') diagnostics.push(data.message);
    if (type === 'test:stderr' || type === 'test:stdout') yield data.message;
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const file = fileOf(data.file ?? data.name);
    if (data.nesting === 0) file.ms += data.details.duration_ms;
    if (type === 'test:fail') {
      const names = data.name === data.file ? filesOf(data.name) : [];
      const goingOn = [...open].filter(
        ([, test]) => test.hasBegun && names.includes(sourceName(test.file)),
      );
      failures.push({ ...data, goingOn: goingOn.map(([at]) => at) });
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
    for (const at of failure.goingOn) yield `    was going on: ${at}\n`;
    yield `${inspect(error, { depth: 6 }).replace(/^/gm, '    ')}\n`;
  }
  // A process that ends before its time with 0 is no failure to the runner.
  if (open.size > 0) process.exitCode = 1;
  for (const at of open.keys()) yield `\n✖ ${at}: never ended\n`;
  yield `\n${diagnostics.slice(-8).join(', ')}\n`;
}
