import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { CuttingProxy } from '../support/cutting-proxy.js';
import { PairedRig } from '../support/paired-rig.js';
import { BIN, Rig } from '../support/rig.js';
import { startOnTerminal } from '../support/terminals.js';
import { Window } from '../support/tmux.js';
import { processesStart, processesWith, uniqueSeconds } from '../support/processes.js';

const paired = new PairedRig();

const PROMPT = /ready>$/;

test('brings home what was edited and saved in vi', async () => {
  const project = paired.project({ 'note.txt': 'first line\n' });
  await using window = await Window.open(project);
  await window.enter('rmtx exec --tty -- vi note.txt; echo "code=$?"');
  await window.shows(/^first line\n~/);
  await window.press('o');
  await window.type('added – ü😀');
  await window.press('Escape');
  await window.shows(/added – ü😀/);
  await window.type(':wq');
  await window.press('Enter');
  await window.shows(/code=0\nready>$/);
  assert.equal(readFileSync(project.path('note.txt'), 'utf8'), 'first line\nadded – ü😀\n');
});

test('gives the command the size of the window and follows it', async () => {
  const project = paired.project();
  await using window = await Window.open(project);
  await window.enter(`rmtx exec -t -- bash -c '
    stty size; echo $TERM $COLORTERM; trap "stty size" WINCH
    while :; do sleep 0.05; done'`);
  await window.shows(/^30 100\n\S+ truecolor/m);
  await window.resize(77, 22);
  await window.shows(/^22 77$/m);
  await window.resize(132, 50);
  await window.shows(/^50 132$/m);
  await window.press('C-c');
  await window.shows(PROMPT);
});

test('interrupts the command in the foreground, time after time', async () => {
  const project = paired.project();
  await using window = await Window.open(project);
  await window.enter(
    `rmtx exec --tty -- sh -c 'trap "n=\\$((n+1)); echo caught \\$n" INT
     echo up; until [ "$n" = 3 ]; do sleep 0.05; done; exit 9'; echo "code=$?"`,
  );
  await window.shows(/^up$/m);
  for (const number of [1, 2, 3]) {
    await window.press('C-c');
    await window.shows(new RegExp(`caught ${number}`));
  }
  await window.shows(/code=9\nready>$/);
  const seconds = uniqueSeconds();
  await window.enter(`rmtx exec --tty -- sleep ${seconds}; echo "code=$?"`);
  await processesStart(seconds, 2);
  await window.press('C-c');
  await window.shows(/code=130\nready>$/);
  assert.deepEqual(processesWith(seconds), []);
});

test('leaves the terminal as it was, however the run ends', async () => {
  await using rig = new Rig();
  const project = await rig.project();
  await using window = await Window.open(project);
  const modes = async (): Promise<string> => {
    await window.enter('stty -a; echo over');
    const kernel = await window.shows(/over\nready>$/);
    const flags = 'alternate_on mouse_any_flag cursor_flag keypad_flag keypad_cursor_flag';
    const format = flags.replace(/\w+/g, '$&=#{$&}');
    return `${kernel}\n${await window.tmux('display-message', '-p', format)}`;
  };
  await window.enter('stty -echoctl erase ^H; echo over');
  await window.shows(/over/);
  const before = await modes();
  const raw = 'stty raw -echo; printf "\\033[?1049h\\033[?1;1000h\\033[?25l\\033=up\\n"';
  const up = `sh -c '${raw}; exec sleep 99'`;

  await window.enter(`rmtx exec --tty -- sh -c '${raw}; exit 3'; echo code=$?`);
  await window.shows(/code=3\nready>$/);
  assert.equal(await modes(), before);

  await window.enter(`rmtx exec --tty -- no-such-command; echo code=$?`);
  await window.shows(/code=127\nready>$/);
  assert.equal(await modes(), before);

  for (const [signal, code] of [
    ['SIGTERM', 130],
    ['SIGHUP', 129],
  ] as const) {
    await window.enter(`rmtx exec --tty -- ${up}; echo code=$?`);
    await window.shows(/^up/m);
    await killClient(window, signal);
    await window.shows(new RegExp(`code=${code}\\nready>$`));
    assert.equal(await modes(), before, signal);
  }

  const seconds = uniqueSeconds();
  await window.enter(`rmtx exec --tty -- ${up.replace('99', seconds)}; echo code=$?`);
  await window.shows(/^up/m);
  await project.host.kill();
  await window.shows(/connection lost/);
  await window.press('Enter', '~', '.');
  await window.shows(/goes on; rmtx attach r\w+ comes back to it\ncode=0\nready>$/);
  assert.equal(await modes(), before);
  assert.deepEqual(processesWith(seconds), [], 'its terminal was hung up');
});

test('lets go of a run at ~. and comes back to it with attach', async () => {
  const project = paired.project();
  await using window = await Window.open(project);
  await window.enter(`rmtx exec --tty -- sh -c '
    echo up; read first; echo got $first; read second; echo got $second >file; exit 5'; echo code=$?`);
  await window.shows(/^up/m);
  await window.type('one');
  await window.press('Enter');
  await window.shows(/got one/);
  await window.press('~', '.');
  await window.shows(/goes on[^]*code=0\nready>$/);
  await window.enter('rmtx attach last; echo code=$?');
  await window.type('two');
  await window.press('Enter');
  await window.shows(/code=5\nready>$/);
  assert.equal(readFileSync(project.path('file'), 'utf8'), 'got two\n');
});

test('goes on at the key when the connection breaks', async () => {
  const project = paired.project();
  await using proxy = await CuttingProxy.to(project.host.port);
  await using window = await Window.open(project);
  await window.enter(
    `rmtx exec --host ${proxy.address} --tty -- sh -c 'echo up; cat >typed'; echo code=$?`,
  );
  await window.shows(/^up/m);
  const lines = ['one', 'two', 'three', 'four'];
  for (const line of lines) {
    proxy.cut();
    await window.type(line);
    await window.press('Enter');
    await window.shows(new RegExp(`^${line}$`, 'm'));
  }
  await window.press('C-d');
  await window.shows(/code=0\nready>$/);
  assert.equal(readFileSync(project.path('typed'), 'utf8'), lines.join('\n') + '\n');
});

test('takes a paste of 1 MiB', async () => {
  const project = paired.project();
  await using window = await Window.open(project);
  const text = Array.from({ length: 14_000 }, (_, i) => `${i} `.padEnd(74, 'x')).join('\n') + '\n';
  await window.enter("rmtx exec --tty -- sh -c 'echo up; cat >pasted'; echo code=$?");
  await window.shows(/^up/m);
  await window.paste(text);
  await window.press('C-d');
  await window.shows(/code=0\nready>$/, 60_000);
  assert.equal(readFileSync(project.path('pasted'), 'utf8'), text);
});

test('runs less and a shell with job control', async () => {
  const lines = Array.from({ length: 300 }, (_, i) => `line ${i + 1}\n`).join('');
  const project = paired.project({ 'long.txt': lines });
  await using window = await Window.open(project);
  await window.enter('rmtx exec --tty -- less long.txt');
  await window.shows(/^line 1\n[^]*line 29\n/);
  await window.press('G');
  await window.shows(/line 300\n/);
  await window.press('q');
  await window.shows(PROMPT);

  await window.enter("rmtx exec --tty -- env PS1='there> ' bash --norc -i; echo code=$?");
  await window.shows(/there>$/);
  await window.type("sh -c 'echo be''gun; exec sleep 99'");
  await window.press('Enter');
  await window.shows(/^begun/m);
  await window.press('C-z');
  await window.shows(/Stopped[^]*there>$/);
  await window.type('kill %1; fg; exit 6');
  await window.press('Enter');
  await window.shows(/code=6\nready>$/);
});

test('says that --tty needs a terminal where there is none', async () => {
  const project = paired.project();
  const { code, stderr } = await project.exec(['true'], { flags: ['--tty'] });
  assert.equal(code, 125);
  assert.match(stderr, /--tty needs a terminal on stdin and on stdout/);
  assert.equal((await project.exec(['true'], { flags: ['--tty', '--no-tty'] })).code, 0);
});

test('shows the whole output of short runs', { timeout: 900_000 }, async (t) => {
  const project = paired.project();
  const { home } = project.client;
  const env = {
    PATH: process.env['PATH'] ?? '',
    HOME: home,
    RMTX_HOME: path.join(home, '.rmtx'),
    SHELL: '/bin/sh',
  };
  const count = process.env['RMTX_LONG_TESTS'] === '1' ? 1000 : 10;
  for (let i = 0; i < count; i += 1) {
    const command = [
      process.execPath,
      BIN,
      'exec',
      '-q',
      '--tty',
      '--',
      'printf',
      'a\nlast %s',
      `${i}`,
    ];
    const client = await startOnTerminal(t, command, { cwd: project.root, env });
    const { exit, stdout } = await client.finished;
    assert.equal(stdout.toString(), `a\r\nlast ${i}`);
    assert.deepEqual(exit, { kind: 'exited', code: 0 });
  }
});

/** Whatever the shell in the window has started. */
async function killClient(window: Window, exitSignal: NodeJS.Signals): Promise<void> {
  const shell = (await window.tmux('display-message', '-p', '#{pane_pid}')).trim();
  const children = readFileSync(`/proc/${shell}/task/${shell}/children`, 'utf8');
  for (const pid of children.trim().split(' ')) process.kill(Number(pid), exitSignal);
}
