import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { accessSync, constants, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { rulesWith } from '../../support/project-tree.js';

const FILES = 250_000;
const FILES_A_DIRECTORY = 20;
const MAX_RSS_MB = 150;
const isWanted = process.env['RMTX_LONG_TESTS'] !== undefined;

test(
  '250,000 files are scanned, saved and scanned again within 150 MB',
  { skip: isWanted ? false : 'takes half a minute: set RMTX_LONG_TESTS' },
  () => {
    const base = mkdtempSync(path.join(memoryDirectory(), 'rmtx-large-'));
    try {
      const project = path.join(base, 'project');
      makeFiles(project);
      const state = path.join(base, 'state');
      mkdirSync(state);
      const cold = scanInProcess(project, state);
      assert.equal(cold.files, FILES);
      assert.equal(cold.filesHashed, FILES);
      assert.ok(cold.maxRssMb <= MAX_RSS_MB, `cold: ${cold.maxRssMb} MB`);
      const warm = scanInProcess(project, state);
      assert.equal(warm.filesHashed, 0);
      assert.equal(warm.hasChanged, false);
      assert.ok(warm.maxRssMb <= MAX_RSS_MB, `warm: ${warm.maxRssMb} MB`);
      writeFileSync(path.join(project, 'p0/d0/file-0.ts'), 'changed');
      const changed = scanInProcess(project, state);
      assert.equal(changed.filesHashed, 1);
      assert.ok(changed.maxRssMb <= MAX_RSS_MB, `changed: ${changed.maxRssMb} MB`);
      console.log(JSON.stringify({ cold, warm, changed }));
    } finally {
      rmSync(base, { recursive: true, force: true });
    }
  },
);

/** Memory where there is some: a disk would be what is measured. */
function memoryDirectory(): string {
  try {
    accessSync('/dev/shm', constants.W_OK);
    return '/dev/shm';
  } catch {
    return os.tmpdir();
  }
}

function makeFiles(project: string): void {
  for (let made = 0; made < FILES;) {
    const number = made / FILES_A_DIRECTORY;
    const directory = path.join(project, `p${Math.floor(number / 25)}`, `d${number % 25}`);
    mkdirSync(directory, { recursive: true });
    for (let index = 0; index < FILES_A_DIRECTORY; index++, made++)
      writeFileSync(path.join(directory, `file-${index}.ts`), `export const n = ${made};\n`);
  }
}

interface Measured {
  readonly files: number;
  readonly filesHashed: number;
  readonly hasChanged: boolean;
  readonly maxRssMb: number;
  readonly milliseconds: number;
}

/** In a process of its own, which then has held nothing else. */
function scanInProcess(project: string, state: string): Measured {
  const script = `
    const at = (name) => require(${JSON.stringify(path.resolve(__dirname, '../../../src'))} + '/' + name);
    const { scanProject } = at('sync/scan.js');
    const { loadScanState, saveScanState } = at('sync/scan-state.js');
    const { AnchoredRoot } = at('util/safe-path.js');
    const [project, state] = process.argv.slice(1);
    const started = performance.now();
    const previous = loadScanState(state);
    const rules = ${JSON.stringify(rulesWith({ gitignore: [], ignore: ['.git/**'] }))};
    scanProject({ root: AnchoredRoot.open(project), rules, previous }).then((scan) => {
      if (scan.hasChanged) saveScanState(state, scan, previous);
      console.log(JSON.stringify({
        files: scan.table.fileCount,
        filesHashed: scan.filesHashed,
        hasChanged: scan.hasChanged,
        maxRssMb: Math.round(process.resourceUsage().maxRSS / 1024),
        milliseconds: Math.round(performance.now() - started),
      }));
    });`;
  const child = spawnSync(process.execPath, ['-e', script, project, state], { encoding: 'utf8' });
  assert.equal(child.stderr, '');
  return JSON.parse(child.stdout) as Measured;
}
