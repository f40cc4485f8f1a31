import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { test } from 'node:test';
import { Gate } from '../support/gate.js';
import { PairedRig } from '../support/paired-rig.js';

const paired = new PairedRig();

test('files come out of the workspace while the run goes on, ignored ones and whole directories', async () => {
  const project = paired.project({ 'a.txt': 'one' }, { ignore: ['out/', '*.log'] });
  const pull = (...args: string[]): ReturnType<typeof project.client.rmtx> =>
    project.client.rmtx(['pull', ...args], { cwd: project.root });
  assert.match((await pull('a.txt')).stderr, /the host has no workspace of this project yet/);

  await using gate = await Gate.in(paired.rig.directory);
  const script = `mkdir -p out/deep; echo new > out/deep/x; ln -s deep/x out/link; echo line > build.log; echo two > a.txt; chmod 700 out/deep/x; ${gate.command}`;
  const running = project.client.start(['exec', '--', 'sh', '-c', script], { cwd: project.root });
  await gate.arrived(running);
  const pulled = await pull('out', 'build.log', './a.txt', 'out/deep');
  assert.equal(pulled.code, 0, pulled.stderr);
  assert.deepEqual(pulled.text.trim().split('\n'), [
    'a.txt',
    'build.log',
    'out',
    'out/deep',
    'out/deep/x',
    'out/link',
  ]);
  const text = (name: string): string => readFileSync(project.path(name), 'utf8');
  assert.deepEqual(
    [text('out/link'), text('build.log'), text('a.txt')],
    ['new\n', 'line\n', 'two\n'],
  );
  assert.equal(statSync(project.path('out/deep/x')).mode & 0o777, 0o700);

  const again = await pull('--run', 'last', 'build.log');
  assert.deepEqual([again.code, again.text], [0, ''], again.stderr);
  project.write({ 'build.log': 'mine' });
  const json = await pull('--json', 'build.log', 'nothing', 'b[1].txt');
  assert.equal(json.code, 1);
  const report = JSON.parse(json.text) as { missing: string[]; conflicts: { path: string }[] };
  assert.deepEqual(report.missing, ['b[1].txt', 'nothing']);
  assert.deepEqual(
    report.conflicts.map((conflict) => conflict.path),
    ['build.log'],
  );
  assert.equal(text('build.log'), 'mine');

  gate.open();
  assert.equal((await running.ended).code, 0);
});

test('what was pulled is replaced by the next pull and by the sync-back; an edit of it is not', async () => {
  const project = paired.project(
    { 'sent.txt': '0\n', 'edited.txt': '0\n' },
    { keep_on_host: ['*.log'] },
  );
  const names = ['edited.txt', 'new.txt', 'sent.txt', 'x.log'];
  const pull = (): ReturnType<typeof project.client.rmtx> =>
    project.client.rmtx(['pull', ...names], { cwd: project.root });
  const texts = (): string[] => names.map((name) => readFileSync(project.path(name), 'utf8'));
  await using gate = await Gate.in(paired.rig.directory);
  const grow = `for name in ${names.join(' ')}; do echo more >> $name; done`;
  const script = `${grow}; ${gate.command}; ${grow}; ${gate.command}; ${grow}`;
  const running = project.client.start(['exec', '--', 'sh', '-c', script], { cwd: project.root });
  const [one, two, three] = [1, 2, 3].map((times) => 'more\n'.repeat(times));
  await gate.arrived(running);
  assert.equal((await pull()).code, 0);
  assert.deepEqual(texts(), [`0\n${one}`, one, `0\n${one}`, one]);
  gate.open();
  await gate.arrived(running);
  const again = await pull();
  assert.equal(again.code, 0, again.stderr);
  assert.deepEqual(texts(), [`0\n${two}`, two, `0\n${two}`, two]);
  project.write({ 'edited.txt': 'mine' });
  gate.open();
  const { code, stderr } = await running.ended;
  assert.equal(code, 122, stderr);
  assert.deepEqual(stderr.match(/^rmtx: conflict: \S+/gm), ['rmtx: conflict: edited.txt:']);
  assert.deepEqual(texts(), ['mine', three, `0\n${three}`, two]);

  // What stays on the host is in no manifest, whichever run wrote it.
  await project.sh('echo next > x.log');
  const later = await project.client.rmtx(['pull', 'x.log'], { cwd: project.root });
  assert.deepEqual([later.code, later.text], [0, 'x.log\n'], later.stderr);
  assert.equal(readFileSync(project.path('x.log'), 'utf8'), 'next\n');
});

test('what is pulled is never written over an edit, nor outside the project, nor into .git', async () => {
  const project = paired.project(
    { 'a.txt': 'one', 'in/b.txt': 'b' },
    { ignore: ['kept/'], keep_on_host: ['kept/'] },
  );
  await project.sh(
    'mkdir -p kept/.git; echo k > kept/k; echo g > kept/.git/config; ln -s /etc/passwd kept/link',
  );
  const pull = (...args: string[]): ReturnType<typeof project.client.rmtx> =>
    project.client.rmtx(['pull', ...args], { cwd: project.root });
  project.write({ 'kept/k': 'mine' });
  const pulled = await pull('kept');
  assert.equal(pulled.code, 1);
  assert.match(pulled.stderr, /^rmtx: conflict: kept\/k: /m);
  assert.match(pulled.stderr, /^rmtx: warning: kept\/link: /m);
  assert.equal(readFileSync(project.path('kept/k'), 'utf8'), 'mine');
  assert.ok(!project.has('kept/.git') && !project.has('kept/link'));

  for (const outside of ['..', '../x', '/etc/passwd', '.', ''])
    assert.equal((await pull(outside)).code, 2, outside);
  const last = await pull('--run', 'last', 'kept');
  assert.match(last.stderr, /is over, and its workspace belongs to the next run/);
});
