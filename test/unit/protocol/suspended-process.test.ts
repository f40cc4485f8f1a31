import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { test } from 'node:test';
import { PeerConnection } from '../../../src/protocol/connection.js';

const HEARTBEAT_INTERVAL_MS = 30;
const DEAD_PEER_MS = 210;

if (process.argv[2] === 'peer') runPeer(Number(process.argv[3]));
else runTests();

/** A process that connects, answers messages, and takes a silent peer for dead soon. */
function runPeer(port: number): void {
  const connection = new PeerConnection(net.connect(port, '127.0.0.1'), {
    heartbeatIntervalMs: HEARTBEAT_INTERVAL_MS,
    deadPeerMs: DEAD_PEER_MS,
  });
  connection.receiveMessages((message) => connection.send({ echo: message }));
  void connection.closed.then(({ reason }) => process.exit(reason === 'ended' ? 0 : 1));
}

function runTests(): void {
  test(
    'a process that was stopped for long does not take its peer for dead',
    { skip: process.platform === 'linux' ? false : 'the test reads /proc' },
    async () => {
      const server = net.createServer();
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const { port } = server.address() as net.AddressInfo;
      const peer = fork(__filename, ['peer', String(port)]);
      const [socket] = (await once(server, 'connection')) as [net.Socket];
      server.close();
      const connection = new PeerConnection(socket, {
        heartbeatIntervalMs: HEARTBEAT_INTERVAL_MS,
        deadPeerMs: 60_000,
      });
      const answers: unknown[] = [];
      let wake = (): void => undefined;
      connection.receiveMessages((message) => {
        answers.push(message);
        wake();
      });
      const answered = async (count: number): Promise<void> => {
        while (answers.length < count) await new Promise<void>((resolve) => (wake = resolve));
      };
      connection.send({ n: 1 });
      await answered(1);

      for (let stops = 0; stops < 2; stops++) {
        peer.kill('SIGSTOP');
        await heartbeatsSent(connection, (3 * DEAD_PEER_MS) / HEARTBEAT_INTERVAL_MS);
        assert.match(readFileSync(`/proc/${peer.pid ?? 0}/stat`, 'utf8'), /\) T /);
        connection.send({ n: 2 + stops });
        peer.kill('SIGCONT');
        await answered(2 + stops);
      }
      const exited = once(peer, 'exit');
      await connection.close();
      assert.deepEqual(await exited, [0, null]);
    },
  );
}

/** Resolves when so many heartbeats have gone out: that is how this side measures the other's sleep. */
async function heartbeatsSent(connection: PeerConnection, count: number): Promise<void> {
  const heartbeatBytes = 5;
  const enough = connection.bytesSent + count * heartbeatBytes;
  await new Promise<void>((resolve) => {
    const poll = setInterval(() => {
      if (connection.bytesSent < enough) return;
      clearInterval(poll);
      resolve();
    }, HEARTBEAT_INTERVAL_MS);
  });
}
