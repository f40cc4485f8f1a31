/** Forwarded ports between peers of which one lies: nothing is opened that the client did not ask for. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { describe, test } from 'node:test';
import { encodeEnd } from '../../src/protocol/frame.js';
import { CHANNEL } from '../../src/protocol/messages.js';
import { connectAs, localPort, readOut, takePort } from '../support/forwarded.js';
import { assertFailed } from '../support/lied-to.js';
import type { LyingRun } from '../support/lying-client.js';
import { LyingHost } from '../support/lying-host.js';
import type { LyingVisit } from '../support/lying-host.js';
import { Scene, assertRefused } from '../support/lying-scene.js';
import type { Lie } from '../support/lying-scene.js';
import { Rig } from '../support/rig.js';

const CHANNEL_1 = CHANNEL.firstForwarded;

test('a client that forwards out of turn or beyond the limit is refused', async () => {
  await using scene = await Scene.create();
  await using port = await takePort();
  const open = (run: LyingRun, lies: object): void =>
    run.sayRaw({ type: 'forward_open', channel: CHANNEL_1, port: port.port, ...lies });
  const running =
    (...lies: readonly object[]): Lie =>
    async (run) => {
      await run.untilStarted(['sleep', '1000']);
      for (const lie of lies) open(run, lie);
    };
  await assertRefused(scene, {
    'a port before there is a run': [
      'BAD_MESSAGE',
      async (run) => {
        run.hello();
        await run.next('welcome');
        open(run, {});
      },
    ],
    'a number for two connections': ['BAD_MESSAGE', running({}, {})],
    'a number of something else': ['BAD_MESSAGE', running({ channel: CHANNEL.stdin })],
    'a 257th connection': ['BAD_MESSAGE', running({ channel: CHANNEL_1 + 256 })],
    'port 0': ['BAD_MESSAGE', running({ port: 0 })],
    'a port on another machine': ['BAD_MESSAGE', running({ port: '10.0.0.1:80' })],
    'the end of what was never open': [
      'closed',
      async (run) => {
        await run.untilStarted(['sleep', '1000']);
        run.socket.write(encodeEnd(CHANNEL_1));
      },
    ],
    'a port of a run that is only watched': [
      'BAD_MESSAGE',
      async (run) => {
        const other = await scene.liar.connect();
        await other.untilStarted(['sleep', '1000']);
        run.hello();
        run.say({
          type: 'run_attach',
          runId: other.id,
          mode: 'watch',
          stdoutOffset: 0,
          stderrOffset: 0,
          tail: true,
        });
        await run.next('welcome');
        await run.next('run_attached');
        open(run, {});
      },
    ],
  });
});

test('what a client says of a connection that is over has crossed with our word, and costs nothing', async () => {
  await using scene = await Scene.create();
  const run = await scene.liar.connect();
  await run.untilStarted(['sleep', '1000']);
  for (let count = 0; count < 50; count++) {
    run.sayRaw({ type: 'forward_open', channel: CHANNEL_1, port: 1 });
    const pair = run.connection.openPair(CHANNEL_1);
    assert.equal((await run.next('forward_broken')).failure, 'refused');
    // It was cancelled, so the end is said already.
    await Promise.all([pair.sender.ended, pair.receiver.ended]);
    await run.next('forward_over');
    run.sayRaw({ type: 'forward_broken', channel: CHANNEL_1 });
    run.connection.release(CHANNEL_1);
  }
  run.connection.destroy();
  await scene.assertUnhurt('crossed');
});

describe('a host', () => {
  const lies: Record<string, (visit: LyingVisit) => void> = {
    'opens a connection here': (visit) =>
      visit.sayRaw({ type: 'forward_open', channel: CHANNEL_1 + 1, port: 22 }),
    'sends on a channel that nobody opened': (visit) => {
      const channel = visit.connection.openSend(CHANNEL_1 + 1);
      channel.end();
    },
    'ends what nobody opened': (visit) =>
      visit.say({ type: 'forward_over', channel: CHANNEL_1 + 1 }),
    'breaks what nobody opened': (visit) =>
      visit.say({ type: 'forward_broken', channel: CHANNEL_1 + 1, failure: 'broken' }),
    'lets a number go that is in use': (visit) =>
      visit.say({ type: 'forward_over', channel: CHANNEL_1 }),
  };
  for (const [name, lie] of Object.entries(lies))
    test(`that ${name} is refused`, async () => {
      await using rig = new Rig();
      await using host = await LyingHost.start(rig);
      const project = host.project();
      host.serve(async (visit) => {
        await visit.untilUploaded();
        await visit.start();
        const { channel } = await visit.expect('forward_open');
        assert.equal(channel, CHANNEL_1);
        lie(visit);
        await visit.fallSilent();
      });
      const running = project.client.start(['exec', '-v', '-L', '0:3000', '--', 'true'], {
        cwd: project.root,
      });
      const socket = connectAs(await localPort(running), 'anything');
      const got = readOut(socket);
      assertFailed(await running.ended, 'ERR_RMTX_BAD_MESSAGE', name);
      assert.equal((await got).broke, 'ECONNRESET');
    });

  test('can make a client that forwards nothing connect nowhere', async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    const project = host.project();
    const bait = net.createServer(() => assert.fail('connected'));
    bait.listen(0, '127.0.0.1');
    await once(bait, 'listening');
    const { port } = bait.address() as net.AddressInfo;
    host.serve(async (visit) => {
      await visit.untilUploaded();
      await visit.start();
      visit.sayRaw({ type: 'forward_open', channel: CHANNEL_1, port });
      await visit.fallSilent();
    });
    const result = await project.exec(['true'], { flags: ['-v'] });
    assertFailed(result, 'ERR_RMTX_BAD_MESSAGE', 'bait');
    bait.close();
  });
});
