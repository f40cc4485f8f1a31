/** A paired host whose control API answers nonsense: a command ends with a reason. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LyingHost } from '../support/lying-host.js';
import { peakMemory } from '../support/memory.js';
import { Rig } from '../support/rig.js';

const isLong = process.env['RMTX_LONG_TESTS'] === '1';

describe('the control API of a host that lies', () => {
  const answers: Record<string, string | Buffer> = {
    'no JSON': 'HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{"a',
    'no HTTP': Buffer.of(0, 0, 0, 1, 6),
    'another shape': 'HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n{"contexts":{}}',
    'a list': 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]',
    'an error that is none': 'HTTP/1.1 500 No\r\ncontent-length: 11\r\n\r\n{"error":7}',
    'more than there is': `HTTP/1.1 200 OK\r\ncontent-length: ${2 ** 40}\r\n\r\n{`,
    'a redirect':
      'HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n',
  };

  test(`ends a command with a reason (${Object.keys(answers).length} ways)`, async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    const project = host.project();
    for (const [name, answer] of Object.entries(answers)) {
      host.serveControl((socket) => {
        socket.once('data', () => socket.end(answer));
      });
      for (const args of [['ping'], ['context', 'list'], ['context', 'prune', '--all']]) {
        const result = await project.client.rmtx(args, { cwd: project.root });
        assert.equal(result.code, 1, `${name}: ${result.stderr}`);
        assert.doesNotMatch(result.stderr, /this is a bug/, name);
      }
    }
  });

  test('an endless answer is cut, and names in it are made safe to print', async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    const project = host.project();
    host.serveControl((socket) => {
      socket.once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n');
        const piece = `10000\r\n${' '.repeat(65_536)}\r\n`;
        const more = (): void => {
          while (!socket.destroyed && socket.write(piece));
        };
        socket.on('drain', more);
        more();
      });
    });
    const endless = await peakMemory(
      project.client.start(['context', 'list'], { cwd: project.root }),
    );
    assert.equal(endless.result.code, 1, endless.result.stderr);
    assert.ok(endless.peakMb < 300, `${endless.peakMb} MB`);

    const text = '\x1b]0;x\x07\x9b2J\u202e';
    const context = {
      id: text,
      name: text,
      updated_at: text,
      active: true,
      size_bytes: 2 ** 53 - 1,
      workspace: text,
    };
    const body = JSON.stringify({ contexts: [context], name: text, version: text, now: text });
    host.serveControl((socket) => {
      socket.once('data', () =>
        socket.end(`HTTP/1.1 200 OK\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`),
      );
    });
    for (const args of [
      ['context', 'list'],
      ['context', 'list', '--json'],
    ]) {
      const { text: printed } = await project.client.rmtx(args, { cwd: project.root });
      assert.match(printed, /x/);
      assert.doesNotMatch(printed, /[\0-\x09\x0b-\x1f\x7f-\x9f\u202e]/);
    }
  });

  test(
    'that has to wait for the end of a command may take more than a minute',
    { skip: isLong ? false : 'takes 65 s: RMTX_LONG_TESTS=1' },
    async () => {
      await using rig = new Rig();
      await using host = await LyingHost.start(rig);
      const project = host.project();
      const runId = `r${'0'.repeat(16)}`;
      const run = { id: runId, state: 'done', label: '', command: ['sh'], context: 'x' };
      const body = JSON.stringify({
        was_going_on: true,
        run: { ...run, started_at: new Date(0).toISOString() },
      });
      host.serveControl((socket) => {
        socket.once('data', () =>
          setTimeout(
            () => socket.end(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`),
            65_000,
          ),
        );
      });
      const cancelled = await project.client.rmtx(['cancel', runId], { cwd: project.root });
      assert.deepEqual([cancelled.code, cancelled.text], [0, `done\t${runId}\n`], cancelled.stderr);
    },
  );
});
