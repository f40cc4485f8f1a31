/** A paired host whose messages and frames are wrong, or come at the wrong time: the run ends with a reason. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { assertFailed, contents, verbose } from '../support/lied-to.js';
import { LyingHost } from '../support/lying-host.js';
import type { LyingVisit } from '../support/lying-host.js';
import { Rig } from '../support/rig.js';

describe('a message', () => {
  const hello = async (visit: LyingVisit): Promise<void> => {
    await visit.expect('hello');
  };
  const welcome = { type: 'welcome', protocol: 1, version: '1', name: 'liar', now_us: 1 };
  const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
  const outcome = (lie: object) => async (visit: LyingVisit) => {
    await visit.untilUploaded();
    await visit.start();
    await visit.print();
    visit.exit(undefined, { outcome: lie });
  };

  const wrong: Record<string, (visit: LyingVisit) => Promise<void>> = {
    'of no type': async (visit) => visit.sayRaw({}),
    'of an unknown type': async (visit) => visit.sayRaw({ type: 'surprise' }),
    'of a type out of Object.prototype': async (visit) => visit.sayRaw({ type: '__proto__' }),
    'called constructor': async (visit) => visit.sayRaw({ type: 'constructor' }),
    'with its fields in the prototype': async (visit) => {
      sendText(visit, `{"__proto__":${JSON.stringify(welcome)}}`);
    },
    'with a type that is a list': async (visit) => visit.sayRaw({ type: ['welcome'] }),
    'that is a list': async (visit) => sendText(visit, '[1]'),
    'that is no JSON': async (visit) => sendText(visit, '{"type":'),
    'that is no UTF-8': async (visit) => sendText(visit, Buffer.of(0x7b, 0xff, 0x7d)),
    'with a name of a megabyte': async (visit) =>
      visit.sayRaw({ ...welcome, name: 'n'.repeat(2e5) }),
    'with a version of 65 letters': async (visit) =>
      visit.sayRaw({ ...welcome, version: 'v'.repeat(65) }),
    'with a clock before time': async (visit) => visit.sayRaw({ ...welcome, now_us: -1 }),
    'with a protocol that was not offered': async (visit) =>
      visit.sayRaw({ ...welcome, protocol: 2 }),
    'that opens before it greets': async (visit) =>
      visit.sayRaw({ type: 'run_opened', workspace: '', slot: 0, is_cold: true, base: null }),
    'that says goodbye first': async (visit) => visit.sayRaw({ type: 'acknowledged' }),
    'with a base that is a path': async (visit) => {
      await visit.greet();
      await visit.open({ base: '../../etc/passwd' });
    },
    'with a slot beyond all': async (visit) => {
      await visit.greet();
      await visit.open({ slot: 1e9 });
    },
    'that starts before it has the files': async (visit) => {
      await visit.greet();
      await visit.open();
      await visit.takeManifest();
      visit.say({ type: 'started' });
    },
    'that wants blobs of another round': async (visit) => {
      await visit.greet();
      await visit.open();
      await visit.takeManifest();
      visit.wantNothing(3);
    },
    'that starts twice': async (visit) => {
      await visit.untilUploaded();
      await visit.start();
      visit.say({ type: 'started' });
    },
    'that has changes before the end': async (visit) => {
      await visit.untilUploaded();
      await visit.start();
      visit.announce(0);
    },
    'that acknowledges what was not applied': async (visit) => {
      await visit.untilExited();
      visit.say({ type: 'acknowledged' });
    },
    'with an exit code of 256': outcome({ kind: 'exited', code: 256 }),
    'with an exit code of -1': outcome({ kind: 'exited', code: -1 }),
    'with half an exit code': outcome({ kind: 'exited', code: 0.5 }),
    'with an exit code in words': outcome({ kind: 'exited', code: '0' }),
    'with no exit code': outcome({ kind: 'exited' }),
    'with a signal of number 0': outcome({ kind: 'signalled', exit_signal: 'SIGINT', number: 0 }),
    'with a signal of number 500': outcome({ kind: 'signalled', exit_signal: 'SIGX', number: 500 }),
    'with a signal that is none': outcome({ kind: 'signalled', exit_signal: '\x1b[2J', number: 2 }),
    'with an end of no kind': outcome({ kind: 'vanished' }),
    'with an end that is a text': outcome('exited' as unknown as object),
    'with a negative count of changes': async (visit) => {
      await visit.untilExited();
      visit.announce(-1);
    },
    'with a manifest id that is none': async (visit) => {
      await visit.untilExited();
      visit.announce(0, { manifest_id: 'manifest:00' });
    },
    'with more problems than a message may have': async (visit) => {
      await visit.untilExited();
      const problem = { path: 'p', code: 'refused', message: 'm' };
      visit.announce(0, { problems: Array.from({ length: 201 }, () => problem) });
    },
    'with a problem of an unknown code': async (visit) => {
      await visit.untilExited();
      visit.announce(0, { problems: [{ path: 'p', code: '__proto__', message: 'm' }] });
    },
    'many at once': async (visit) => {
      for (let count = 0; count < 1000; count++) visit.sayRaw({ ...welcome });
    },
  };

  test(`that is wrong, or at the wrong time, ends the run (${Object.keys(wrong).length} ways)`, async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    const project = host.project({ a: '1' });
    for (const [name, lie] of Object.entries(wrong)) {
      host.serve(async (visit) => {
        await lie(visit);
        await visit.fallSilent();
      });
      assertFailed(await project.exec(['true'], verbose), 'ERR_RMTX_BAD_MESSAGE', name);
    }
    assert.deepEqual(contents(project), { a: '1' });
  });

  test('or a frame over its limit ends the run before it is read', async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    const project = host.project({ a: '1' });
    const frames: Record<string, [string, Buffer]> = {
      'a message of a gigabyte': ['FRAME_TOO_LARGE', Buffer.of(0x40, 0, 0, 0, 1, 0x7b)],
      'data of a gigabyte': ['FRAME_TOO_LARGE', Buffer.of(0x40, 0, 0, 0, 2, 0, 3)],
      'an unknown frame': ['BAD_MESSAGE', Buffer.of(0, 0, 0, 1, 99)],
      'a frame of no length': ['BAD_MESSAGE', Buffer.of(0, 0, 0, 0, 1)],
      'a pairing message': ['BAD_MESSAGE', Buffer.from('\0\0\0\x0f{"type":"share"}')],
      'a page of a web server': ['(FRAME_TOO_LARGE|BAD_MESSAGE)', Buffer.from('HTTP/1.1 400 \r\n')],
      'data on a channel that is not open': ['BAD_MESSAGE', Buffer.of(0, 0, 0, 4, 2, 0, 99, 1)],
      'the same end twice': ['BAD_MESSAGE', Buffer.of(0, 0, 0, 3, 4, 0, 9, 0, 0, 0, 3, 4, 0, 9)],
    };
    for (const [name, [code, bytes]] of Object.entries(frames)) {
      host.serve(async (visit) => {
        await hello(visit);
        visit.socket.write(bytes);
        await visit.fallSilent();
      });
      assertFailed(await project.exec(['true'], verbose), `ERR_RMTX_${code}`, name);
    }
  });

  test('with 100,000 brackets, or fields that nobody knows, is no trouble', async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    const project = host.project({ a: '1' });
    host.serve(async (visit) => {
      await visit.expect('hello');
      const fields = JSON.stringify({ ...welcome, now_us: Date.now() * 1000 }).slice(1);
      sendText(visit, `{"deep":${deep},"__proto__":{"x":1},"name":"first",${fields}`);
      await visit.open();
      await visit.takeManifest();
      visit.wantNothing();
      await visit.start();
      await visit.print({ stdout: 'fine' });
      visit.exit();
      await visit.offer([]);
    });
    const result = await project.exec(['true']);
    assert.deepEqual([result.code, result.text], [0, 'fine'], result.stderr);
  });
});

/** A message frame with this text in it. */
function sendText(visit: LyingVisit, text: string | Buffer): void {
  const payload = Buffer.from(text);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(payload.length + 1, 0);
  head[4] = 1;
  visit.socket.write(Buffer.concat([head, payload]));
}
