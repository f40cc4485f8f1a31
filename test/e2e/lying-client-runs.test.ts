/** A paired client that opens a run under a name it may not have, or speaks out of turn. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, test } from 'node:test';
import { CHANNEL } from '../../src/protocol/messages.js';
import { randomRunId } from '../support/lying-client.js';
import type { LyingRun } from '../support/lying-client.js';
import { manifestIdOf } from '../support/lying-entries.js';
import { Scene, assertRefused } from '../support/lying-scene.js';
import type { Lie } from '../support/lying-scene.js';

const EMPTY = manifestIdOf([]);

describe('a run', () => {
  test('has a name of the right form, and nobody else of it', async () => {
    await using scene = await Scene.create();
    const opened =
      (lies: object): Lie =>
      async (run) => {
        await run.open(lies);
      };
    const theirs = await scene.other.connect();
    await theirs.untilStarted(['sleep', '1000']);
    await assertRefused(scene, {
      'a run of another client': ['BAD_MESSAGE', opened({ run_id: theirs.id })],
      'a run id that is a path': ['BAD_MESSAGE', opened({ run_id: '../../clients' })],
      'a run id in capitals': ['BAD_MESSAGE', opened({ run_id: 'R0123456789ABCDEF' })],
      'a run id with a line end': ['BAD_MESSAGE', opened({ run_id: `${randomRunId()}\n` })],
      'a context key that is a path': ['BAD_MESSAGE', opened({ context_key: '../../../../etc' })],
      'a context key that is too long': ['BAD_MESSAGE', opened({ context_key: 'a'.repeat(64) })],
      'a context name that is too long': ['BAD_MESSAGE', opened({ context_name: 'n'.repeat(201) })],
      'a label that is none': ['BAD_MESSAGE', opened({ label: {} })],
      'a context name that is none': ['BAD_MESSAGE', opened({ context_name: null })],
    });
    for (const name of [
      '../../../x',
      '/etc',
      '\0',
      '..',
      '\x1b]0;x\x07',
      '',
      '.',
      'CON',
      '__proto__',
    ]) {
      const run = await scene.liar.connect();
      const { workspace } = await run.open({ context_name: name, label: name });
      assert.equal(
        path.dirname(path.dirname(workspace)),
        path.join(scene.host.stateDirectory, 'workspaces'),
      );
      assert.match(path.basename(path.dirname(workspace)), /^([a-z0-9-]*-)?[0-9a-f]{12}$/);
      run.connection.destroy();
    }
    // The run whose name was tried goes on.
    assert.equal(theirs.connection.bytesReceived > 0, true);
    theirs.say({ type: 'stop', isForced: true });
    assert.equal((await theirs.exited()).outcome.kind, 'signalled');
  });

  test('of the same project key is another context for another client', async () => {
    await using scene = await Scene.create();
    const key = 'ab'.repeat(16);
    const [mine, theirs] = [await scene.liar.connect(), await scene.other.connect()];
    const workspaces = [
      (await mine.open({ context_key: key })).workspace,
      (await theirs.open({ context_key: key })).workspace,
    ];
    assert.notEqual(path.dirname(workspaces[0] ?? ''), path.dirname(workspaces[1] ?? ''));
    mine.connection.destroy();
    theirs.connection.destroy();
  });

  test('is asked for in order, once, and in words that the host knows', async () => {
    await using scene = await Scene.create();
    const greeted = async (run: LyingRun): Promise<void> => {
      run.hello();
      await run.next('welcome');
    };
    await assertRefused(scene, {
      'no greeting': ['BAD_MESSAGE', (run) => run.say({ type: 'applied' })],
      'a greeting of a later time': [
        'VERSION_MISMATCH',
        (run) => run.say({ type: 'hello', protocolMin: 2, protocolMax: 9, version: '\x1b[2J9' }),
      ],
      'versions the wrong way round': [
        'VERSION_MISMATCH',
        (run) => run.say({ type: 'hello', protocolMin: 9, protocolMax: 0, version: '9' }),
      ],
      'no type': ['BAD_MESSAGE', (run) => run.sayRaw({})],
      'an unknown type': ['BAD_MESSAGE', (run) => run.sayRaw({ type: '__proto__' })],
      'a message of a host': ['BAD_MESSAGE', (run) => run.sayRaw({ type: 'welcome' })],
      'a name of a megabyte': [
        'FRAME_TOO_LARGE|closed',
        (run) =>
          void run.socket.write(
            Buffer.concat([Buffer.of(0, 16, 0, 1, 1), Buffer.alloc(2 ** 20, '{')]),
          ),
      ],
      'no frame': ['BAD_MESSAGE|closed', (run) => void run.socket.write(Buffer.of(0, 0, 0, 1, 77))],
      'a pairing message': ['closed', (run) => void run.socket.write('\0\0\0\x10{"type":"start"}')],
      'a request of the control API': [
        'closed',
        (run) => void run.socket.write('GET /v1/ping HTTP/1.1\r\nhost: x\r\n\r\n'),
      ],
      'a start before the project': [
        'BAD_MESSAGE',
        async (run) => {
          await run.open();
          run.sendRules();
          run.start(['true']);
        },
      ],
      'two greetings': ['BAD_MESSAGE', async (run) => greeted(run).then(() => run.hello())],
      'two runs': [
        'BAD_MESSAGE',
        async (run) => {
          await run.open();
          run.sendRules();
          run.sayRaw({
            type: 'run_open',
            run_id: randomRunId(),
            context_key: 'ab'.repeat(16),
            context_name: '',
            label: '',
          });
        },
      ],
      'two starts': [
        'BAD_MESSAGE',
        async (run) => {
          await run.untilUploaded();
          run.start(['true']);
          run.start(['true']);
          await Promise.all([run.read(CHANNEL.stdout), run.read(CHANNEL.stderr)]);
        },
      ],
      'an end before there is any': [
        'BAD_MESSAGE',
        async (run) => {
          await run.untilUploaded();
          run.say({ type: 'applied' });
        },
      ],
      'a round too far': [
        'BAD_MESSAGE',
        async (run) => {
          await run.open();
          run.sendRules();
          run.sendManifest(Buffer.alloc(0), { id: EMPTY, round: 3 });
        },
      ],
      'a round beyond all': [
        'BAD_MESSAGE',
        async (run) => {
          await run.open();
          run.sayRaw({ type: 'manifest', round: 8, manifest_id: EMPTY, has_rules: true });
        },
      ],
      'many messages at once': [
        'BAD_MESSAGE',
        (run) => {
          for (let count = 0; count < 1000; count++) run.say({ type: 'applied' });
        },
      ],
      'data that nobody asked for': [
        'BAD_MESSAGE|closed',
        async (run) => {
          await greeted(run);
          run.socket.write(Buffer.of(0, 0, 0, 4, 2, 0, 99, 1));
        },
      ],
      'ends of all channels, twice': [
        'BAD_MESSAGE|closed',
        async (run) => {
          await greeted(run);
          for (let round = 0; round < 2; round++)
            for (let channel = 0; channel < 65_536; channel++) {
              const frame = Buffer.of(0, 0, 0, 3, 4, 0, 0);
              frame.writeUInt16BE(channel, 5);
              run.socket.write(frame);
            }
        },
      ],
    });
  });

  test('with 100,000 brackets, or credit without end, is no trouble', async () => {
    await using scene = await Scene.create();
    const run = await scene.liar.connect();
    const deep = `{"deep":${'['.repeat(100_000)}${']'.repeat(100_000)},"type":"hello","protocol_min":1,"protocol_max":1,"version":"1"}`;
    const head = Buffer.alloc(5);
    head.writeUInt32BE(deep.length + 1, 0);
    head[4] = 1;
    run.socket.write(Buffer.concat([head, Buffer.from(deep)]));
    await run.next('welcome');
    const credit = Buffer.of(0, 0, 0, 7, 3, 0, CHANNEL.stdout, 0xff, 0xff, 0xff, 0xff);
    for (let count = 0; count < 100_000; count++) run.socket.write(credit);
    run.connection.destroy();
    await scene.assertUnhurt('brackets');
  });
});
