// The main job, whole: a real host on loopback, a client that pairs with it, a real command on a real
// project, the result home again. Everything lives in a temporary folder and is removed at the end.
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const rmtxBin = path.join(root, 'bin/rmtx.js');
const scratch = mkdtempSync(path.join(os.tmpdir(), 'rmtx-demo-'));
const project = path.join(scratch, 'word-count');
cpSync(path.join(root, 'fixtures/projects/word-count'), project, { recursive: true });

const env = {
  ...process.env,
  RMTX_HOME: path.join(scratch, 'client'),
  RMTX_STATE_DIR: path.join(scratch, 'host'),
};
delete env.RMTX_HOST;
delete env.NODE_EXTRA_CA_CERTS;

function show(command) {
  console.log(`\n$ ${command}`);
}

function rmtx(args, options = {}) {
  show(`rmtx ${args.join(' ')}`);
  const result = spawnSync(process.execPath, [rmtxBin, ...args], {
    env,
    cwd: project,
    stdio: ['ignore', 'pipe', 'inherit'],
    ...options,
  });
  process.stdout.write(result.stdout);
  if (result.status !== 0) throw new Error(`rmtx ${args[0]} ended with ${result.status}`);
  return result.stdout.toString();
}

console.log('rmtx demo: one machine plays both parts, host and client.');
show('rmtx host --listen 127.0.0.1:0 --name spare-machine    # on the spare machine');
const host = spawn(
  process.execPath,
  [rmtxBin, 'host', '--listen', '127.0.0.1:0', '--name', 'spare-machine', '-q'],
  {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  },
);
try {
  const address = await new Promise((resolve, reject) => {
    let text = '';
    host.stdout.on('data', (piece) => {
      text += piece;
      const match = /listening on (\S+)/.exec(text);
      if (match) resolve(match[1]);
    });
    host.on('exit', (code) => reject(new Error(`the host ended with ${code}`)));
  });
  console.log(`listening on ${address}`);
  const code = /code=(\d+)/.exec(rmtx(['host', 'pair-code']))?.[1];
  rmtx(['init', '--host', address, '--code', code]);
  rmtx(['exec', '--', 'node', 'count.mjs', 'text.txt']);
  show('cat report.json    # written on the host, brought home');
  const report = readFileSync(path.join(project, 'report.json'), 'utf8');
  process.stdout.write(report);
  if (JSON.parse(report).words !== 24) throw new Error('the report is not what the command wrote');
  console.log('\nIt works: the command ran in a workspace of the host, its result came home.');
} finally {
  host.kill('SIGTERM');
  await new Promise((resolve) => host.once('exit', resolve));
  rmSync(scratch, { recursive: true, force: true });
}
