// Whole cycles of rmtx beside rsync over ssh with a control master, in turn, in one run:
// push + run + pull of a project, on a memory file system, over loopback. Prints medians and ratios.
//   npm run bench                 all scenarios
//   npm run bench -- small        those whose name has "small"; RUNS=9 for more repeats
// Needs rsync, ssh and sshd (Debian: rsync openssh-server).
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { once } from 'node:events';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const bin = path.join(root, 'bin/rmtx.js');
const wanted = process.argv.slice(2);
const runs = Number(process.env.RUNS ?? 5);
const scratch = mkdtempSync(
  path.join(existsSync('/dev/shm') ? '/dev/shm' : os.tmpdir(), 'rmtx-bench-'),
);
const env = {
  ...process.env,
  HOME: path.join(scratch, 'home'),
  RMTX_HOME: path.join(scratch, 'rmtx'),
  SHELL: '/bin/sh',
};
// Costs Node 20 about 40 ms at every start.
delete env.NODE_EXTRA_CA_CERTS;
mkdirSync(env.HOME, { recursive: true });

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

function timed(work) {
  const start = performance.now();
  work();
  return performance.now() - start;
}

function must(file, args, options = {}) {
  const result = spawnSync(file, args, { env, stdio: ['ignore', 'ignore', 'pipe'], ...options });
  if (result.status !== 0)
    throw new Error(`${file} ${args.join(' ')}: ${result.status} ${result.stderr}`);
}

// --- peers -----------------------------------------------------------------------------------------

async function startSshd() {
  const dir = path.join(scratch, 'ssh');
  mkdirSync(dir, { mode: 0o700 });
  for (const name of ['host', 'user'])
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', path.join(dir, name)]);
  writeFileSync(path.join(dir, 'authorized'), execFileSync('cat', [path.join(dir, 'user.pub')]));
  const port = 20000 + Math.floor(Math.random() * 20000);
  const sshdConfig = `Port ${port}\nListenAddress 127.0.0.1\nHostKey ${dir}/host\nAuthorizedKeysFile ${dir}/authorized\nStrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin yes\nPrintMotd no\n`;
  writeFileSync(path.join(dir, 'sshd_config'), sshdConfig);
  mkdirSync('/run/sshd', { recursive: true });
  const sshd = spawn('/usr/sbin/sshd', ['-D', '-e', '-f', path.join(dir, 'sshd_config')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  await new Promise((resolve, reject) => {
    let text = '';
    sshd.stderr.on('data', (piece) => (text += piece).includes('listening') && resolve());
    sshd.once('exit', () => reject(new Error(`sshd: ${text}`)));
  });
  const wrapper = path.join(dir, 'ssh');
  writeFileSync(
    wrapper,
    `#!/bin/sh\nexec ssh -F none -p ${port} -i ${dir}/user -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ControlMaster=auto -o ControlPath=${dir}/cm -o ControlPersist=yes "$@"\n`,
  );
  chmodSync(wrapper, 0o755);
  must(wrapper, ['127.0.0.1', 'true']);
  return {
    ssh: wrapper,
    stop: () => (spawnSync(wrapper, ['-O', 'exit', '127.0.0.1'], { stdio: 'ignore' }), sshd.kill()),
  };
}

async function startRmtxHost() {
  const host = spawn(
    process.execPath,
    [bin, 'host', '--listen', '127.0.0.1:0', '--state-dir', path.join(scratch, 'state'), '-q'],
    { env, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const address = await new Promise((resolve, reject) => {
    let text = '';
    host.stdout.on('data', (piece) => {
      const match = /listening on (\S+)/.exec((text += piece));
      if (match) resolve(match[1]);
    });
    host.once('exit', (code) => reject(new Error(`rmtx host ended with ${code}`)));
  });
  const code = /code=(\d+)/.exec(
    execFileSync(
      process.execPath,
      [bin, 'host', 'pair-code', '--state-dir', path.join(scratch, 'state')],
      { env },
    ).toString(),
  )[1];
  must(process.execPath, [bin, 'pair', '--host', address, '--code', code]);
  return { address, stop: () => host.kill('SIGTERM') };
}

// --- corpora ---------------------------------------------------------------------------------------

function makeTree(directory, { files, bytes }) {
  rmSync(directory, { recursive: true, force: true });
  for (let index = 0; index < files; index++) {
    const folder = path.join(directory, `d${Math.floor(index / 20)}`);
    if (index % 20 === 0) mkdirSync(folder, { recursive: true });
    const text = randomBytes(Math.ceil(bytes / 2))
      .toString('hex')
      .slice(0, bytes);
    writeFileSync(path.join(folder, `f${index}.txt`), text);
    utimesSync(path.join(folder, `f${index}.txt`), 1.7e9, 1.7e9 + index / 1000);
  }
}

function makeBigFile(directory, bytes) {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  const fd = openSync(path.join(directory, 'big.bin'), 'w');
  for (let done = 0; done < bytes; done += 1 << 22) writeSync(fd, randomBytes(1 << 22));
  closeSync(fd);
}

const corpora = {
  small: (directory) => makeTree(directory, { files: 200, bytes: 5000 }),
  medium: (directory) => makeTree(directory, { files: 10_000, bytes: 8000 }),
  big: (directory) => makeBigFile(directory, 1 << 30),
};

// --- one cycle of each -------------------------------------------------------------------------------

const { ssh, stop: stopSshd } = await startSshd();
const { address, stop: stopHost } = await startRmtxHost();
let copies = 0;

function rsyncPeer(project) {
  const far = path.join(scratch, `far-${(copies += 1)}`);
  return {
    cycle: (script) => {
      must('rsync', ['-a', '--delete', '-e', ssh, `${project}/`, `127.0.0.1:${far}/`]);
      must(ssh, ['127.0.0.1', `cd ${far} && ${script}`]);
      must('rsync', ['-a', '--delete', '-e', ssh, `127.0.0.1:${far}/`, `${project}/`]);
    },
    forget: () => rmSync(far, { recursive: true, force: true }),
  };
}

function rmtxPeer(project) {
  writeFileSync(
    path.join(project, '.rmtx.json'),
    JSON.stringify({ version: 1, host: address, context: { name: `bench-${(copies += 1)}` } }),
  );
  const run = (...args) => must(process.execPath, [bin, ...args], { cwd: project });
  return {
    cycle: (script) => run('exec', '--', 'sh', '-c', script),
    forget: () => {
      run('context', 'delete', '--current');
      rmSync(path.join(env.RMTX_HOME, 'projects'), { recursive: true, force: true });
    },
  };
}

const steps = {
  cold: { before: (peer) => peer.forget(), script: 'true' },
  unchanged: { script: 'true' },
  'one changed': {
    before: (_peer, project) => writeFileSync(firstFile(project), String(Math.random())),
    script: 'true',
  },
  'one byte changed': {
    corpus: 'big',
    before: (_peer, project) => changeByte(project),
    script: 'true',
  },
  '100 new back': { script: 'mkdir -p out && for i in $(seq 100); do echo $i $$ > out/$i; done' },
};

function firstFile(project) {
  const big = path.join(project, 'big.bin');
  return existsSync(big) ? path.join(project, 'note.txt') : path.join(project, 'd0', 'f0.txt');
}

function changeByte(project) {
  const fd = openSync(path.join(project, 'big.bin'), 'r+');
  writeSync(fd, randomBytes(1), 0, 1, Math.floor(Math.random() * 2 ** 30));
  closeSync(fd);
}

function report(name, own, theirs) {
  const ratios = own.map((value, index) => value / theirs[index]);
  const ms = (value) => `${value.toFixed(0)} ms`.padStart(9);
  console.log(
    `${name.padEnd(24)} ${ms(median(own))} ${ms(median(theirs))}   ${median(ratios).toFixed(2)}   (${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)})`,
  );
}

console.log(
  `Node ${process.version}, ${os.cpus().length} cores, ${scratch.startsWith('/dev/shm') ? 'memory file system' : scratch}, median of ${runs}\n`,
);
console.log(
  `${'scenario'.padEnd(24)} ${'rmtx'.padStart(9)} ${'rsync'.padStart(9)}   ratio (min–max)`,
);

try {
  for (const [corpus, make] of Object.entries(corpora)) {
    const names = Object.keys(steps)
      .filter((step) => (steps[step].corpus ?? corpus) === corpus)
      .filter(
        (step) => wanted.length === 0 || wanted.some((part) => `${corpus} ${step}`.includes(part)),
      );
    if (names.length === 0) continue;
    const projects = ['a', 'b'].map((name) => path.join(scratch, name));
    for (const project of projects) make(project);
    const peers = [rmtxPeer(projects[0]), rsyncPeer(projects[1])];
    for (const peer of peers) peer.cycle('true');
    for (const step of names) {
      const times = [[], []];
      const count = corpus === 'big' && step === 'cold' ? Math.min(runs, 3) : runs;
      for (let round = 0; round < count; round++)
        for (const [which, peer] of peers.entries()) {
          steps[step].before?.(peer, projects[which]);
          times[which].push(timed(() => peer.cycle(steps[step].script)));
        }
      report(`${corpus} ${step}`, times[0], times[1]);
    }
    for (const [which, peer] of peers.entries()) {
      peer.forget();
      rmSync(projects[which], { recursive: true, force: true });
    }
  }
  if (wanted.length === 0 || wanted.includes('start')) await reportStart();
} finally {
  stopHost();
  stopSshd();
  rmSync(scratch, { recursive: true, force: true });
}

/** Start-up of exec until its connection arrives, beside a node that starts and ends. */
async function reportStart() {
  const project = path.join(scratch, 'start');
  mkdirSync(project, { recursive: true });
  const server = net.createServer((socket) => socket.destroy());
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const host = `127.0.0.1:${server.address().port}`;
  writeFileSync(path.join(project, '.rmtx.json'), JSON.stringify({ version: 1, host }));
  const own = [];
  const theirs = [];
  for (let round = 0; round < runs * 4; round++) {
    const startedAt = performance.now();
    const child = spawn(process.execPath, [bin, 'exec', '--', 'true'], {
      env,
      cwd: project,
      stdio: 'ignore',
    });
    await once(server, 'connection');
    own.push(performance.now() - startedAt);
    if (child.exitCode === null) await once(child, 'exit');
    theirs.push(timed(() => spawnSync(process.execPath, ['-e', '0'], { env, stdio: 'ignore' })));
  }
  server.close();
  console.log(`\n${'start'.padEnd(24)} ${'rmtx'.padStart(9)} ${'node -e 0'.padStart(9)}   ratio`);
  report('exec to first packet', own, theirs);
}
