// Runs the compiled tests with node's own runner. Node 20 does not expand a quoted glob and treats
// helper files in a bare directory as tests, so the files are named one by one.
//   npm test                     everything
//   npm test -- unit             only paths that contain "unit"
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const wanted = process.argv.slice(2);
const files = readdirSync('dist/test', { recursive: true })
  .map((name) => path.join('dist/test', name))
  .filter((name) => name.endsWith('.test.js'))
  .filter((name) => wanted.length === 0 || wanted.some((part) => name.includes(part)))
  .sort();
if (files.length === 0) {
  console.error(`no test file matches ${wanted.join(' ')}`);
  process.exit(1);
}
const env = { ...process.env };
// Costs every Node 20 start about 40 ms and changes nothing here.
delete env.NODE_EXTRA_CA_CERTS;
const flags = [
  '--test',
  // Node leaves one core free by default; the slow files mostly wait for other processes.
  `--test-concurrency=${os.availableParallelism() + 1}`,
  '--test-reporter=./scripts/test-reporter.mjs',
  '--enable-source-maps',
  // MockTimers say it once a file.
  '--disable-warning=ExperimentalWarning',
];
// A file that hangs is a failure with a name, not a night of waiting; the slowest takes 40 s.
if (process.env.RMTX_LONG_TESTS !== '1') flags.push('--test-timeout=150000');
const child = spawnSync(process.execPath, [...flags, ...files], {
  stdio: 'inherit',
  env,
});
process.exit(child.status ?? 1);
