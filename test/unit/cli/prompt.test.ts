import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { readFirstLine } from '../../../src/cli/prompt.js';

const PROMPT = path.resolve(__dirname, '../../../src/cli/prompt.js');
const ASK = `
const { askLine } = require(${JSON.stringify(PROMPT)});
const ask = () => askLine({ text: 'code: ', subject: 'the code', otherwise: 'give it with --code' });
(async () => {
  try { console.log('1=' + await ask()); console.log('2=' + await ask()); }
  catch (error) { console.log(error.code + '|' + error.message + '|' + error.hint); }
})();`;
const READ = `
const { readLineFromStdin } = require(${JSON.stringify(PROMPT)});
readLineFromStdin('the code').then((line) => console.log('[' + line + ']'), (error) => console.log(error.code));`;

/** util-linux' \`script\` gives a child a terminal of its own. */
const hasScript = spawnSync('script', ['--version']).status === 0;

async function outputOf(child: ReturnType<typeof spawn>): Promise<string> {
  let text = '';
  child.stdout?.on('data', (piece: Buffer) => (text += piece.toString('utf8')));
  await once(child, 'close');
  return text;
}

test('without a terminal nothing is asked, and the refusal names the flag', async () => {
  const child = spawn(process.execPath, ['-e', ASK], { stdio: 'pipe', detached: true });
  assert.equal(
    await outputOf(child),
    'ERR_RMTX_NEEDS_TERMINAL|no terminal to ask for the code|give it with --code\n',
  );
  child.stdin.destroy();
});

test(
  'a terminal is asked, more than once, even when stdin is something else',
  { skip: hasScript ? false : 'needs script(1) of util-linux' },
  async () => {
    for (const redirect of ['', '< /dev/null']) {
      const command = `"${process.execPath}" -e "$ASK" ${redirect}`;
      const child = spawn('script', ['-qec', command, '/dev/null'], {
        stdio: 'pipe',
        env: { ...process.env, ASK },
      });
      let text = '';
      const answers = ['1234 5678', ''];
      child.stdout.on('data', (piece: Buffer) => {
        text += piece.toString('utf8');
        const asked = text.split('code: ').length - 1;
        if (asked > 2 - answers.length) child.stdin.write(`${answers.shift() ?? ''}\n`);
      });
      await once(child, 'close');
      assert.match(text, /code: 1234 5678\r\n1=1234 5678\r\ncode: \r\n2=\r\n$/);
    }
  },
);

test('the first line of stdin is enough: an open pipe does not hold the process', async () => {
  const child = spawn(process.execPath, ['-e', READ], { stdio: 'pipe' });
  child.stdin.write('  1234-5678 \nmore\n');
  assert.equal(await outputOf(child), '[1234-5678]\n');
  child.stdin.destroy();
});

test('an empty stdin is refused', async () => {
  const child = spawn(process.execPath, ['-e', READ], { stdio: ['ignore', 'pipe', 'inherit'] });
  assert.equal(await outputOf(child), 'ERR_RMTX_BAD_ARGUMENT\n');
});

test('a line is whole however it arrives, and the last one needs no line end', async () => {
  const stream = new PassThrough();
  const line = readFirstLine(stream);
  stream.write('12');
  stream.write('34\r');
  stream.write('\n56\n');
  assert.equal(await line, '1234');
  const unended = new PassThrough();
  unended.end('1234');
  assert.equal(await readFirstLine(unended), '1234');
  const empty = new PassThrough();
  empty.end();
  assert.equal(await readFirstLine(empty), undefined);
});
