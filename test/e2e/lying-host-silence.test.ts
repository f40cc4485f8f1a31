/** A paired host that stops in the midst of a run: the client gives it up, or can be told to. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { CHANNEL } from '../../src/protocol/messages.js';
import { assertFailed, contents, startExec, verbose } from '../support/lied-to.js';
import { file } from '../support/lying-changes.js';
import { LyingHost, recordsOf } from '../support/lying-host.js';
import type { LyingVisit } from '../support/lying-host.js';
import { Rig } from '../support/rig.js';
import type { RunningRmtx } from '../support/rig.js';

describe('a host that does not go on', () => {
  const steps: Record<string, (visit: LyingVisit) => Promise<void>> = {
    'after the handshake': () => Promise.resolve(),
    'after the greeting': (visit) => visit.greet(),
    'while it takes the files': async (visit) => {
      await visit.greet();
      await visit.open();
    },
    'before it asks for blobs': async (visit) => {
      await visit.greet();
      await visit.open();
      await visit.takeManifest();
    },
    'while it asks for blobs': async (visit) => {
      await visit.greet();
      await visit.open();
      await visit.takeManifest();
      visit.say({ type: 'blobs_wanted', round: 0, files: 1, bytes: 1 });
    },
    'before the start': (visit) => visit.untilUploaded(),
    'while the command runs': async (visit) => {
      await visit.untilUploaded();
      await visit.start();
      await visit.connection.openSend(CHANNEL.stdout).write(Buffer.from('x'));
    },
    'with the output': async (visit) => {
      await visit.untilUploaded();
      await visit.start();
      visit.exit();
    },
    'after the end': (visit) => visit.untilExited(),
    'with the changes': async (visit) => {
      await visit.untilExited();
      visit.announce(1);
      await visit.connection.openSend(CHANNEL.changes).write(recordsOf([file('a')]));
    },
    'with the content': async (visit) => {
      await visit.untilExited();
      visit.announce(1);
      await visit.sendRecords(recordsOf([file('a')]));
    },
    'before it acknowledges': async (visit) => {
      await visit.untilExited();
      visit.announce(1);
      await visit.sendRecords(recordsOf([file('a')]));
      await visit.serveBlobs(['evil']);
    },
  };

  test(
    'is given up after 20 seconds without a sign of life, at every step',
    { timeout: 60_000 },
    async () => {
      await using rig = new Rig();
      await using host = await LyingHost.start(rig, { hasHeartbeats: false });
      const waiting = Object.entries(steps).map(async ([name, until]) => {
        const project = host.project({ file: name });
        // Each at its own step, all at once: the wait is the same.
        let connections = 0;
        host.serveClientOf(project, async (visit) => {
          connections += 1;
          // Looked for again, it is not to be found.
          if (connections > 1) visit.socket.destroy();
          await until(visit);
          await visit.fallSilent();
        });
        const result = await project.exec(['true'], verbose);
        assertFailed(result, 'ERR_RMTX_CONNECTION_LOST', name);
        assert.match(result.stderr, /nothing came for 2\d s/, name);
        // What was applied before is applied; nothing else.
        const after =
          name === 'before it acknowledges' ? { a: 'evil', file: name } : { file: name };
        assert.deepEqual(contents(project), after);
      });
      await Promise.all(waiting);
    },
  );

  test('or does nothing but live is left with Ctrl-C, at every step', async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    for (const [name, until] of Object.entries(steps)) {
      const project = host.project({ file: name });
      const reached = new Promise<void>((resolve) => {
        host.serve(async (visit) => {
          await until(visit);
          resolve();
          await visit.fallSilent();
        });
      });
      const running = startExec(project);
      await reached;
      await pressUntilItEnds(running);
      const result = await running.ended;
      assert.equal(result.code, 130, `${name}: ${result.stderr}`);
      assert.doesNotMatch(result.stderr, /this is a bug/, name);
      const after = name === 'before it acknowledges' ? { a: 'evil', file: name } : { file: name };
      assert.deepEqual(contents(project), after, name);
    }
  });

  test('but tells an error while the client waits to send is heard at once', async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    const project = host.project({ a: '1' });
    host.serve(async (visit) => {
      await visit.greet();
      await visit.open();
      visit.sayRaw({ type: 'error', code: 'ERR_RMTX_DISK_FULL', message: 'the disk is full' });
      await visit.fallSilent();
    });
    const startedAt = performance.now();
    assertFailed(await project.exec(['true'], verbose), 'ERR_RMTX_DISK_FULL', 'error');
    assert.ok(performance.now() - startedAt < 10_000);
  });
});

/** Presses Ctrl-C, and again each time that this is what it says would help; three times at most. */
async function pressUntilItEnds(running: RunningRmtx): Promise<void> {
  let isOver = false;
  const ended = running.ended.then(() => (isOver = true));
  const timesTold = (): number => running.stderr.split('Ctrl-C again').length - 1;
  for (let press = 0; press < 3 && !isOver; press++) {
    const told = timesTold();
    running.child.kill('SIGINT');
    while (!isOver && press < 2 && timesTold() === told)
      await Promise.race([ended, running.child.stderr && once(running.child.stderr, 'data')]);
  }
}
