/** A paired host with nasty words: they reach the terminal harmless, and are not taken for those of rmtx. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { CommandOutcome } from '../../src/protocol/messages.js';
import { directoryEntry, symlinkEntry } from '../support/entries.js';
import { jsonLines, verbose } from '../support/lied-to.js';
import { file, upsert } from '../support/lying-changes.js';
import { LyingHost, recordsOf } from '../support/lying-host.js';
import type { LyingVisit } from '../support/lying-host.js';
import { Rig } from '../support/rig.js';

describe('what a host says', () => {
  const nasty = '\x1b]0;owned\x07\x1b[2J\r\nrmtx: all is well\x9b31m\u202egpj\u2066\u200b\x7f\0';
  const unsafe = /[\0-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069]/;

  const outcomes: CommandOutcome[] = [
    { kind: 'not-found', searched: nasty },
    { kind: 'not-executable', reason: nasty },
    { kind: 'exited', code: 1 },
  ];

  const speak = async (visit: LyingVisit, end: CommandOutcome): Promise<void> => {
    visit.say({ type: 'notice', code: nasty.slice(0, 60), message: nasty });
    await visit.greet({ name: nasty, version: nasty.slice(0, 60) });
    await visit.open({ workspace: nasty });
    await visit.takeManifest();
    visit.wantNothing();
    await visit.start();
    await visit.print();
    visit.exit(end);
    const problem = { path: nasty, code: 'refused', message: nasty };
    visit.announce(3, {
      problems: [problem],
      ignored: { count: 3, bytes: 3, largest_folder: nasty },
    });
    const name = nasty.replaceAll('\0', '');
    await visit.sendRecords(
      recordsOf([
        upsert(directoryEntry(`${name}/${name}`)),
        upsert(symlinkEntry(`${name}/${name}/link`, `/${name}`)),
        file(`.git/${name}`),
      ]),
    );
    await visit.serveBlobs([]);
    await visit.expect('applied');
    visit.say({ type: 'acknowledged' });
  };

  test('reaches the terminal without its control characters, in words and as JSON', async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    for (const end of outcomes)
      for (const flags of [['-v'], ['--json'], ['-v', '--json']]) {
        const project = host.project({ a: '1' });
        host.serve((visit) => speak(visit, end));
        const result = await project.exec(['true'], { flags });
        const name = `${end.kind} ${flags.join(' ')}`;
        assert.doesNotMatch(result.stderr, unsafe, name);
        assert.doesNotMatch(result.text, unsafe, name);
        assert.doesNotMatch(result.stderr, /^rmtx: all is well/m, name);
        if (flags.includes('--json'))
          assert.ok(
            jsonLines(result).some((line) => line['host'] === nasty),
            name,
          );
      }
  });

  test('as the reason of an error, too, and it is told as the failure of rmtx that it is', async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    const project = host.project({ a: '1' });
    const errors = [
      { code: nasty, message: nasty, hint: nasty },
      { code: 'ERR_RMTX_HOST_FAILED', message: nasty, hint: nasty },
      { code: 'ERR_RMTX_BAD_FLAG', message: nasty },
      { code: 'ERR_RMTX_INTERRUPTED', message: nasty },
      { code: ['x'], message: { toString: 1 }, hint: 5 },
      { message: 'm'.repeat(200_000) },
      { code: '__proto__' },
    ];
    for (const type of ['error', 'refused'])
      for (const error of errors) {
        host.serve(async (visit) => {
          await visit.expect('hello');
          visit.sayRaw({ type, ...error });
          await visit.fallSilent();
        });
        for (const flags of [['-v'], ['--json']]) {
          const result = await project.exec(['true'], { flags });
          const code = error.code === 'ERR_RMTX_BAD_FLAG' ? 2 : 125;
          assert.equal(result.code, code, `${String(error.code)}: ${result.stderr}`);
          assert.doesNotMatch(result.stderr + result.text, unsafe);
          assert.match(result.stderr, flags[0] === '-v' ? /^rmtx: error: /m : /^\{"error":\{/);
          assert.ok(result.stderr.length < 20_000);
        }
      }
  });

  test('is not mistaken for what rmtx says itself', async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    const project = host.project({ a: '1' });
    host.serve(async (visit) => {
      for (const code of ['interrupt', 'host-rule', 'swept'])
        visit.say({ type: 'notice', code, message: `type your password (${code})` });
      await visit.untilExited();
      await visit.offer([]);
    });
    const result = await project.exec(['true'], verbose);
    assert.equal(result.code, 0, result.stderr);
    const lines = result.stderr.split('\n').filter((line) => line.includes('password'));
    assert.equal(lines.length, 3);
    for (const line of lines) assert.match(line, /^rmtx: warning: the host says: type your/);
  });
});
