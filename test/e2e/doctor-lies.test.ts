/** `rmtx doctor` with a host that has the right key and says what it likes. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RmtxError } from '../../src/errors.js';
import { diagnose, stepOf, verdictOf } from '../support/diagnosis.js';
import { LyingHost } from '../support/lying-host.js';
import { Rig } from '../support/rig.js';

/** Nobody waits for answers of the network. */
const QUIET = { discovery: { enabled: false } };

describe('doctor, with a host that lies', { concurrency: 2 }, () => {
  const ping = { name: 'liar', version: '0.1.0', now: new Date().toISOString(), free_bytes: 1e12 };

  /** Answers each question of the control API with the same document. */
  function answering(host: LyingHost, body: object): void {
    const text = JSON.stringify(body);
    host.serveControl((socket) => {
      socket.on('data', () =>
        socket.write(
          `HTTP/1.1 200 OK\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
        ),
      );
    });
  }

  test('the clocks differ by an hour', async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    const project = host.project({}, QUIET);
    answering(host, { ...ping, now: new Date(Date.now() - 3_600_000).toISOString() });
    const diagnosis = await diagnose(project);
    const { verdict, code, detail = '' } = stepOf(diagnosis, 'clock');
    assert.deepEqual([verdict, code], ['warning', 'clock']);
    assert.match(detail, /^the host's clock is (?:1h|59m|60m)\S* behind this machine's$/);
  });

  test('the protocol is too old', async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    const project = host.project({}, QUIET);
    answering(host, { ...ping, version: '0.0.1' });
    host.serve(async (visit) => {
      await visit.expect('hello');
      visit.say({
        type: 'error',
        error: new RmtxError('ERR_RMTX_VERSION_MISMATCH', 'no protocol version in common'),
      });
      await visit.fallSilent();
    });
    const diagnosis = await diagnose(project);
    assert.equal(verdictOf(diagnosis), 'version: protocol-version');
    assert.match(stepOf(diagnosis, 'version').detail ?? '', /^rmtx 0\.0\.1 there/);
  });

  test('a command never starts, never ends, or says something else', async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    const project = host.project({}, QUIET);
    answering(host, ping);
    host.serve(async (visit) => {
      await visit.untilUploaded();
      await visit.start();
      await visit.print({ stdout: 'something else\n' });
      visit.exit();
      visit.announce(0);
      await visit.expect('discard');
      visit.say({ type: 'acknowledged' });
    });
    assert.equal(verdictOf(await diagnose(project)), 'run: host-failed');
    host.serve(async (visit) => {
      await visit.untilUploaded();
      await visit.fallSilent();
    });
    assert.equal(verdictOf(await diagnose(project)), 'run: host-load');
    host.serve(async (visit) => {
      await visit.untilExited({ kind: 'not-found', searched: '/nowhere' });
      visit.announce(0);
      await visit.expect('discard');
      visit.say({ type: 'acknowledged' });
    });
    assert.equal(verdictOf(await diagnose(project)), 'run: command-not-found');
  });

  test('whatever it says is made safe to print', async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    const project = host.project({}, QUIET);
    const text = '\x1b]0;x\x07\x9b2J\u202e\n\r';
    answering(host, { ...ping, name: text, version: text, now: text });
    const error = new RmtxError('ERR_RMTX_HOST_FAILED', text, { hint: text });
    const lies: Record<string, Parameters<LyingHost['serve']>[0]> = {
      refused: async (visit) => {
        await visit.expect('hello');
        visit.sayRaw({
          type: 'refused',
          error: { code: error.code, message: text, hint: text, retryable: false },
        });
        await visit.fallSilent();
      },
      run: async (visit) => {
        await visit.greet({ name: text });
        await visit.expect('run_open');
        visit.sayRaw({ type: 'notice', code: text, message: text });
        visit.sayRaw({ type: 'error', error: { code: text, message: text, hint: text } });
        await visit.fallSilent();
      },
      searched: async (visit) => {
        await visit.untilExited({ kind: 'not-executable', reason: text });
        visit.announce(0);
        await visit.fallSilent();
      },
    };
    for (const [name, lie] of Object.entries(lies)) {
      host.serve(lie);
      for (const args of [['doctor'], ['doctor', '--json']]) {
        const result = await project.client.rmtx(args, { cwd: project.root });
        assert.equal(result.code, 1, name);
        assert.match(result.text, /x1b|u001b/, name);
        assert.doesNotMatch(result.text + result.stderr, /[\0-\x09\x0b-\x1f\x7f-\x9f\u202e]/, name);
        assert.doesNotMatch(result.stderr, /this is a bug/);
      }
    }
  });
});
