// Runs the compiled tests with node's own runner. Node 20 does not expand a quoted glob and treats
// helper files in a bare directory as tests, so the files are named one by one.
//   npm test                     everything
//   npm test -- unit             only paths that contain "unit"
// The runner starts a process for each file that it is given. A unit test is over in less time than its
// process takes to start, so unit tests share a few (dist/test-groups, made anew each time).
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const TESTS = 'dist/test';
const GROUPS = 'dist/test-groups';
const GROUP_SIZE = 20;

/** The longest first, so that none of them is what all wait for at the end. */
const LONGEST = [
  'e2e/lying-host-silence',
  'e2e/fallback',
  'e2e/transfer',
  'e2e/damaged-state',
  'e2e/reconnect',
  'e2e/doctor-network',
  'e2e/house-keeping-hosts',
  'e2e/init',
  'e2e/lying-client-floods',
  'e2e/discovery',
  'e2e/lying-client-manifests',
  'property/apply-crash',
  'e2e/stats',
  'unit/runtime/process',
  'unit/runtime/terminal-process',
  'unit/sync/capture',
  'unit/client/apply',
  'unit/store/blob-store-processes',
  'unit/runtime/process-tree',
];
const KINDS = ['e2e', 'property', 'unit'];

/** Earlier is less. */
function turn(file) {
  const name = path.relative(TESTS, file).replace(/\.test\.js$/, '');
  const place = LONGEST.indexOf(name);
  return place === -1 ? LONGEST.length + KINDS.indexOf(name.split(path.sep)[0]) : place;
}

function isUnit(file) {
  return file.startsWith(path.join(TESTS, 'unit'));
}

/** Files with these words change something of the whole process, or are programs that tests start, too. */
const OWN_PROCESS =
  /process\.(argv|chdir|umask|exit|getActive\w+)\b|\bmock\.|process\.env\S* (\?\?)?= /;
/** Or they start processes by the dozen, and a fork costs what the process weighs. */
const MANY_FORKS = /support\/(commands|terminals)\.js/;

function mayShare(file) {
  if (!isUnit(file)) return false;
  const text = readFileSync(file, 'utf8');
  return !OWN_PROCESS.test(text) && !MANY_FORKS.test(text);
}

/** Files that load the others, each in its turn: neighbours, which need much of the same code. */
function grouped(files) {
  rmSync(GROUPS, { recursive: true, force: true });
  mkdirSync(GROUPS);
  const count = Math.ceil(files.length / GROUP_SIZE);
  return Array.from({ length: count }, (_, group) => {
    const members = files.slice(group * GROUP_SIZE, (group + 1) * GROUP_SIZE);
    const lines = members.map((file) => `require('${path.posix.relative(GROUPS, file)}');\n`);
    const entry = path.join(GROUPS, `unit-${group + 1}.js`);
    writeFileSync(entry, lines.join(''));
    return entry;
  });
}

const wanted = process.argv.slice(2);
const files = readdirSync(TESTS, { recursive: true })
  .map((name) => path.join(TESTS, name))
  .filter((name) => name.endsWith('.test.js'))
  .filter((name) => wanted.length === 0 || wanted.some((part) => name.includes(part)))
  .sort()
  .sort((one, other) => turn(one) - turn(other));
if (files.length === 0) {
  console.error(`no test file matches ${wanted.join(' ')}`);
  process.exit(1);
}
const shared = files.filter(mayShare);
const alone = files.filter((file) => !shared.includes(file));
const quick = alone.filter(isUnit);
const slow = alone.filter((file) => !isUnit(file));
const env = { ...process.env };
// Costs every Node 20 start about 40 ms and changes nothing here.
delete env.NODE_EXTRA_CA_CERTS;
const flags = [
  '--test',
  // Node leaves one core free by default; the slow files mostly wait for other processes, and unit tests
  // measure nothing that more of them at once would hurt.
  `--test-concurrency=${os.availableParallelism() + (slow.length === 0 ? 2 : 1)}`,
  '--test-reporter=./scripts/test-reporter.mjs',
  '--enable-source-maps',
  // MockTimers say it once a file.
  '--disable-warning=ExperimentalWarning',
];
// A file that hangs is a failure with a name, not a night of waiting; the slowest takes 40 s.
if (process.env.RMTX_LONG_TESTS !== '1') flags.push('--test-timeout=150000');
const child = spawnSync(process.execPath, [...flags, ...slow, ...grouped(shared), ...quick], {
  stdio: 'inherit',
  env,
});
process.exit(child.status ?? 1);
