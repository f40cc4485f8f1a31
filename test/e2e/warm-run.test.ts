import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { COMMANDS } from '../support/commands.js';
import { Gate } from '../support/gate.js';
import { PRINT_FLAT_TREE, flatTree } from '../support/planned-tree.js';
import { runReported, startReported } from '../support/reported-run.js';
import { untilNoRuns } from '../support/lying-scene.js';
import { PairedRig } from '../support/paired-rig.js';
import { Rig } from '../support/rig.js';
import type { RigProject, RunningRmtx } from '../support/rig.js';
import { openedFiles, tracer, tracingIsMissing } from '../support/traced-opens.js';

const paired = new PairedRig();

/** For tests that wait for a process to be ended by somebody else. */
const LIMIT = { timeout: 60_000 };
const FIXTURES = path.dirname(COMMANDS);

async function workspaceOf(project: RigProject): Promise<string> {
  return (await project.sh('printf %s "$RMTX_WORKSPACE"')).text;
}

describe('a run of an unchanged project', () => {
  test(
    'opens no file of it, neither here nor on the host',
    { skip: tracingIsMissing() },
    async () => {
      await using rig = new Rig();
      const hostTrace = path.join(rig.directory, 'host-trace');
      const host = await rig.host({ wrap: tracer(hostTrace) });
      const client = rig.pairedClient(host);
      const project = client.project(
        {
          'src/a.c': 'a',
          'src/deep/b.c': 'b',
          'empty.txt': '',
          '.gitignore': 'ignored/\n',
          'ignored/i.txt': 'i',
        },
        { host, config: { ignore_gitignore: true } },
      );
      const made = await project.sh(
        'mkdir out ignored; echo x > out/x.o; echo edited > src/a.c; echo l > ignored/left; printf %s "$RMTX_WORKSPACE"',
      );
      assert.equal(made.code, 0, made.stderr);
      for (const round of [1, 2]) {
        const clientTrace = path.join(rig.directory, `client-trace-${round}`);
        const from = readFileSync(hostTrace).length;
        const running = client.start(['exec', '--', 'true'], {
          cwd: project.root,
          wrap: tracer(clientTrace),
        });
        const result = await running.ended;
        assert.deepEqual([result.code, result.stderr], [0, '']);
        assert.deepEqual(openedFiles(clientTrace, project.root), ['.rmtx.json'], `round ${round}`);
        assert.deepEqual(openedFiles(hostTrace, made.text, from), [], `round ${round}`);
      }
    },
  );

  test('sends and brings nothing', async () => {
    const project = paired.project({ 'a.txt': 'a', 'b/c.txt': 'c' });
    await project.sh('echo new > b/new.txt');
    const again = await runReported(project, 'true');
    assert.deepEqual(
      [again.code, again.changed, again.deleted, again.uploadedBytes, again.downloadedBytes],
      [0, [], [], 0, 0],
    );
  });
});

describe('incremental builds', { skip: makeIsMissing() }, () => {
  const build = 'make 2>&1';

  function newProject(): RigProject {
    const project = paired.project();
    cpSync(path.join(FIXTURES, 'projects/c-hello'), project.root, { recursive: true });
    // As of a checkout some time ago.
    for (const name of readdirSync(project.root)) utimesSync(project.path(name), 1.6e9, 1.6e9);
    return project;
  }

  test('a second build has nothing to do, and an edit builds just what it is about', async () => {
    const project = newProject();
    const first = await project.sh(`${build} && ./hello`);
    assert.equal(first.code, 0, first.text + first.stderr);
    assert.match(first.text, /main\.c[^]*greet\.c[^]*hello, world/);
    const here = spawnSync(project.path('hello'));
    assert.equal(String(here.stdout), 'hello, world\n');
    assert.match((await project.sh(build)).text, /is up to date/);
    const local = spawnSync('make', [], { cwd: project.root });
    assert.match(String(local.stdout), /is up to date/);

    const source = readFileSync(project.path('main.c'), 'utf8');
    project.write({ 'main.c': source.replace('world', 'there') });
    const edited = await project.sh(`${build} && ./hello`);
    assert.match(edited.text, /main\.c[^]*hello, there/);
    assert.doesNotMatch(edited.text, /greet\.c/);
    assert.match((await project.sh(build)).text, /is up to date/);
    // A header that is touched and not edited is newer, and that is what make goes by.
    utimesSync(project.path('greet.h'), new Date(), new Date());
    assert.match((await project.sh(build)).text, /main\.c[^]*greet\.c/);
  });

  test('also when the clock here is an hour behind the one there', async (t) => {
    const clock = path.join(paired.rig.directory, 'clock-behind.so');
    const source = path.join(FIXTURES, 'clock-behind.c');
    if (spawnSync('cc', ['-shared', '-fPIC', '-o', clock, source, '-ldl']).status !== 0) {
      t.skip('no compiler for the clock');
      return;
    }
    const env = { LD_PRELOAD: clock, CLOCK_BEHIND: '3600' };
    const project = newProject();
    const first = await project.sh(build, { env });
    assert.match(first.text, /main\.c[^]*greet\.c/, first.stderr);
    // What the host made has the time of here.
    const ageMs = Date.now() - statSync(project.path('hello')).mtimeMs;
    assert.ok(ageMs > 3_590_000 && ageMs < 3_660_000, `${ageMs}`);
    assert.match((await project.sh(build, { env })).text, /is up to date/);
    project.write({ 'greet.c': `${readFileSync(project.path('greet.c'), 'utf8')}\n` });
    const now = Date.now() / 1000 - 3600;
    utimesSync(project.path('greet.c'), now, now);
    const edited = await project.sh(build, { env });
    assert.match(edited.text, /greet\.c/);
    assert.doesNotMatch(edited.text, /main\.c/);
    assert.match((await project.sh(build, { env })).text, /is up to date/);
  });
});

function makeIsMissing(): string | false {
  const isThere = ['make', 'cc'].every((name) => spawnSync(name, ['--version']).status === 0);
  return isThere ? false : 'make and a C compiler are needed';
}

describe('what a run leaves', () => {
  test('keep_on_host stays on the host from run to run and never comes here or goes there', async () => {
    const project = paired.project(
      { 'package.json': '{}', 'node_modules/local': 'mine', 'src/a.js': 'a' },
      { keep_on_host: ['node_modules/', 'target/'] },
    );
    const install =
      'test ! -e node_modules && mkdir -p node_modules/dep target && echo dep > node_modules/dep/index.js && ln -s ../dep node_modules/link && chmod 500 node_modules/dep';
    const first = await runReported(project, install);
    assert.deepEqual([first.code, first.changed], [0, []], first.stderr);
    assert.deepEqual(readdirSync(project.path('node_modules')), ['local']);
    assert.ok(!project.has('target'));
    project.write({ 'src/a.js': 'edited' });
    const second = await runReported(
      project,
      'cat node_modules/dep/index.js; test ! -e node_modules/local; test -d target; chmod 700 node_modules/dep; echo more > node_modules/more',
    );
    assert.deepEqual([second.code, second.text, second.changed], [0, 'dep\n', []], second.stderr);
    const third = await runReported(project, 'cat node_modules/more; rm -rf node_modules');
    assert.deepEqual([third.text, third.deleted], ['more\n', []]);
    assert.deepEqual(readdirSync(project.path('node_modules')), ['local']);
    assert.equal((await project.sh('test ! -e node_modules && test -d target')).code, 0);
  });

  test('ignored files that it made are gone in the next run, and -v says so', async () => {
    const project = paired.project(
      { 'a.txt': 'a', '.gitignore': '*.log\nout/\n' },
      { ignore_gitignore: true },
    );
    const first = await runReported(
      project,
      'mkdir -p out/deep sub; echo x > out/deep/x; chmod 500 out/deep; echo l > sub/b.log; echo r > sub/r.txt; mkfifo out/pipe',
      { flags: ['-v'] },
    );
    assert.equal(first.code, 0, first.stderr);
    assert.match(first.stderr, /3 ignored files .*out.*sync_back.*keep_on_host/);
    assert.deepEqual(first.changed.toSorted(), ['sub', 'sub/r.txt']);
    const next = await project.sh(PRINT_FLAT_TREE);
    assert.deepEqual(JSON.parse(next.text), flatTree(project.root));
  });

  test(
    'what a killed client left half-done never shows up, while its command goes on and after it',
    LIMIT,
    async () => {
      const project = paired.project({ 'a.txt': 'a', 'd/b.txt': 'b' });
      await using gate = await Gate.in(paired.rig.directory);
      const running = startHalfDone(project, gate);
      await gate.arrived(running);
      running.child.kill('SIGKILL');
      await running.ended;
      const next = await project.sh(PRINT_FLAT_TREE);
      assert.deepEqual(JSON.parse(next.text), flatTree(project.root));
      gate.open();
      await untilNoRuns(project.host);
      const later = await project.sh(PRINT_FLAT_TREE);
      assert.deepEqual(JSON.parse(later.text), flatTree(project.root));
      assert.deepEqual(readdirSync(project.root).toSorted(), ['.rmtx.json', 'a.txt', 'd']);
    },
  );

  test(
    'what a killed host left half-done never shows up, and its command is ended',
    LIMIT,
    async () => {
      await using rig = new Rig();
      const project = await rig.project({ 'a.txt': 'a', 'd/b.txt': 'b' });
      await using gate = await Gate.in(rig.directory);
      const running = startHalfDone(project, gate);
      await gate.arrived(running);
      const { address, stateDirectory } = project.host;
      await project.host.kill();
      await rig.host({ stateDirectory, args: ['--listen', address] });
      await gate.abandoned();
      assert.equal((await running.ended).code, 125);
      const next = await project.sh(PRINT_FLAT_TREE);
      assert.equal(next.code, 0, next.stderr);
      assert.deepEqual(JSON.parse(next.text), flatTree(project.root));
      assert.deepEqual(readdirSync(project.root).toSorted(), ['.rmtx.json', 'a.txt', 'd']);
    },
  );
});

/** A run that has changed much, and stands at the gate. */
function startHalfDone(project: RigProject, gate: Gate): RunningRmtx {
  const script = `echo x > a.txt; rm -r d; echo new > new; ${gate.command} && echo late > late`;
  return project.client.start(['exec', '--', 'sh', '-c', script], { cwd: project.root });
}

test('a workspace that somebody damaged is put right before the next run', async () => {
  const project = paired.project({
    'same-size.txt': 'good',
    'gone.txt': 'gone',
    'mode.sh': 'x',
    'd/in.txt': 'in',
    'e/in.txt': 'in e',
    'f.txt': 'f',
  });
  symlinkSync('f.txt', project.path('link'));
  await project.sh('true');
  const workspace = await workspaceOf(project);
  const at = (name: string): string => path.join(workspace, name);
  const { atime, mtime } = statSync(at('same-size.txt'));
  writeFileSync(at('same-size.txt'), 'evil');
  utimesSync(at('same-size.txt'), atime, mtime);
  rmSync(at('gone.txt'));
  spawnSync('chmod', ['777', at('mode.sh')]);
  const elsewhere = paired.rig.newDirectory('elsewhere');
  renameSync(at('d'), path.join(elsewhere, 'd'));
  symlinkSync(path.join(elsewhere, 'd'), at('d'));
  rmSync(at('e'), { recursive: true });
  writeFileSync(at('e'), 'a file');
  rmSync(at('f.txt'));
  symlinkSync('/etc/hostname', at('f.txt'));
  rmSync(at('link'));
  symlinkSync('elsewhere', at('link'));
  writeFileSync(at('stranger'), 'stranger');
  const next = await runReported(project, `${PRINT_FLAT_TREE}; stat -c %a mode.sh >&2`);
  assert.equal(next.code, 0, next.stderr);
  assert.deepEqual(JSON.parse(next.text), flatTree(project.root));
  assert.match(next.stderr, /^6[64]4\n$/);
  assert.deepEqual([next.changed, next.deleted], [[], []]);
  assert.equal(readFileSync(path.join(elsewhere, 'd/in.txt'), 'utf8'), 'in');
});

test('an edit here that keeps size and time is seen all the same', async () => {
  const project = paired.project({ 'a.txt': 'good', 'b/c.txt': 'good' });
  await project.sh('true');
  for (const name of ['a.txt', 'b/c.txt']) {
    const { atime, mtime } = statSync(project.path(name));
    project.write({ [name]: 'evil' });
    utimesSync(project.path(name), atime, mtime);
  }
  assert.equal((await project.sh('cat a.txt b/c.txt')).text, 'evilevil');
});

test('a damaged or missing index of a workspace costs time and nothing else', async () => {
  await using rig = new Rig();
  const project = await rig.project({ 'a.txt': 'a', 'd/b.txt': 'b' }, { keep_on_host: ['kept/'] });
  await project.sh('mkdir kept; echo k > kept/k');
  const contexts = path.join(project.host.stateDirectory, 'contexts');
  const [context = ''] = readdirSync(contexts);
  const index = path.join(contexts, context, 'slots/0/index');
  const bytes = readFileSync(index);
  for (const damage of [
    () => rmSync(index),
    () => writeFileSync(index, bytes.subarray(0, bytes.length / 2)),
    () =>
      writeFileSync(
        index,
        bytes.map((byte, at) => (at === bytes.length - 20 ? byte ^ 1 : byte)),
      ),
    () => writeFileSync(index, ''),
  ]) {
    damage();
    const result = await runReported(project, 'cat a.txt d/b.txt kept/k; ls');
    assert.deepEqual([result.code, result.text], [0, 'abk\na.txt\nd\nkept\n'], result.stderr);
    assert.deepEqual([result.changed, result.deleted], [[], []]);
  }
});

test('two runs at once have workspaces of their own and wait for nothing; a third takes a free one', async () => {
  const project = paired.project({ 'a.txt': 'a', 'b.txt': 'b' });
  await using gate = await Gate.in(paired.rig.directory);
  const script = (name: string): string =>
    `printf %s "$RMTX_WORKSPACE" && echo ${name} > ${name} && ${gate.command} && ls | tr '\\n' ' ' >&2`;
  const first = startReported(project, script('one'));
  await gate.arrived(first.running);
  const second = startReported(project, script('two'));
  await gate.arrived(second.running, 2);
  gate.open();
  const [one, two] = [await first.ended, await second.ended];
  assert.deepEqual([one.code, two.code], [0, 0], one.stderr + two.stderr);
  assert.notEqual(one.text, two.text);
  assert.deepEqual([one.stderr, two.stderr], ['a.txt b.txt one ', 'a.txt b.txt two ']);
  assert.deepEqual([one.changed, two.changed], [['one'], ['two']]);
  assert.deepEqual(readdirSync(project.root), ['.rmtx.json', 'a.txt', 'b.txt', 'one', 'two']);
  // Each has what the other one made by now, in a workspace that was there before.
  const third = await runReported(project, `printf %s "$RMTX_WORKSPACE"; ls >&2`);
  assert.ok([one.text, two.text].includes(third.text), third.text);
  assert.equal(third.stderr, 'a.txt\nb.txt\none\ntwo\n');
});

test('two runs at once that change the same file: the second to end is told of the conflict', async () => {
  const project = paired.project({ 'a.txt': 'a' });
  await using gate = await Gate.in(paired.rig.directory);
  const first = startReported(project, `echo slow > a.txt; ${gate.command}`);
  await gate.arrived(first.running);
  const second = await runReported(project, 'echo quick > a.txt');
  assert.equal(second.code, 0, second.stderr);
  gate.open();
  const slow = await first.ended;
  assert.equal(slow.code, 122, slow.stderr);
  assert.equal(readFileSync(project.path('a.txt'), 'utf8'), 'quick\n');
  const copy = slow.conflicts['a.txt'];
  assert.ok(typeof copy === 'string');
  assert.equal(readFileSync(project.path(copy), 'utf8'), 'slow\n');
});
