/** Clients and strangers that speak the wrong language at the port, or show an odd certificate there. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { lstatSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import type { TLSSocket } from 'node:tls';
import { describe, test } from 'node:test';
import { ALPN_CONTROL, ALPN_PAIRING, ALPN_RUN } from '../../src/protocol/messages.js';
import { LyingClient } from '../support/lying-client.js';
import { Scene, untilNoRuns } from '../support/lying-scene.js';

describe('the languages of the port', () => {
  test('are kept apart, and strangers get only pairing', async () => {
    await using scene = await Scene.create();
    const stranger = LyingClient.stranger(scene.rig, scene.host);
    const ping = 'GET /v1/ping HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n';
    const run = '\0\0\0\x11\x01{"type":"hello"}';
    assert.match(await answerTo(await stranger.dial(ALPN_CONTROL), ping), / 403 [^]*NOT_PAIRED/);
    assert.match(await answerTo(await scene.liar.dial(ALPN_CONTROL), ping), / 200 [^]*"version"/);
    assert.match(await answerTo(await stranger.dial(ALPN_RUN), run), /NOT_PAIRED/);
    for (const client of [stranger, scene.liar]) {
      assert.doesNotMatch(await answerTo(await client.dial(ALPN_PAIRING), ping), /version/);
      assert.doesNotMatch(await answerTo(await client.dial(ALPN_PAIRING), run), /welcome/);
      assert.match(await answerTo(await client.dial(ALPN_CONTROL), run), /^(HTTP\/1.1 400 |$)/);
    }
    await scene.assertUnhurt('languages');
  });

  test('take no certificate for granted', async () => {
    await using scene = await Scene.create();
    const kinds: Record<string, string[]> = {
      rsa: ['-newkey', 'rsa:2048'],
      'rsa-pss': ['-newkey', 'rsa-pss', '-pkeyopt', 'rsa_keygen_bits:2048'],
      ed25519: ['-newkey', 'ed25519'],
      ed448: ['-newkey', 'ed448'],
      p521: ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-521'],
      explicit: [
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:P-256',
        '-pkeyopt',
        'ec_param_enc:explicit',
      ],
    };
    for (const [name, args] of Object.entries(kinds)) {
      const directory = scene.rig.newDirectory(name);
      const [keyFile, certFile] = [path.join(directory, 'key'), path.join(directory, 'cert')];
      execFileSync(
        'openssl',
        [
          'req',
          '-x509',
          ...args,
          '-nodes',
          '-subj',
          '/CN=\x1b[2J',
          '-keyout',
          keyFile,
          '-out',
          certFile,
        ],
        { stdio: 'ignore' },
      );
      for (const alpn of [ALPN_RUN, ALPN_CONTROL, ALPN_PAIRING]) {
        const pem = { key: readFileSync(keyFile), cert: readFileSync(certFile) };
        const socket = await scene.liar.dial(alpn, pem).catch(() => undefined);
        if (socket !== undefined)
          await answerTo(socket, 'GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
      }
      await scene.assertUnhurt(name);
    }
  });

  test('of the control API are no way to the things of others', async () => {
    await using scene = await Scene.create();
    const { liar, other } = scene;
    const key = 'ef'.repeat(16);
    const theirs = await other.connect();
    await theirs.open({ context_key: key });
    theirs.connection.destroy();
    await untilNoRuns(scene.host);
    const contexts = path.join(scene.host.stateDirectory, 'contexts');
    const [id = ''] = readdirSync(contexts);
    const post = (route: string, body: string): Promise<string> =>
      liar
        .dial(ALPN_CONTROL)
        .then((socket) =>
          answerTo(
            socket,
            `POST ${route} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
          ),
        );
    const remove = (body: object): Promise<string> =>
      post('/v1/contexts/delete', JSON.stringify(body));
    assert.match(await remove({ ids: [id] }), /"deleted":\[\]/);
    assert.match(await remove({ context_key: key }), /"deleted":\[\]/);
    assert.match(
      await remove({ ids: [`../contexts/${id}`, '..', '/', '__proto__'] }),
      /"deleted":\[\]/,
    );
    assert.match(await remove({ ids: 'all' }), / 400 /);
    assert.match(await remove({ ids: Array.from({ length: 1001 }, () => 'x') }), / 400 /);
    assert.match(await post('/v1/contexts/prune', '{"older_than_ms":0}'), /"deleted":\[\]/);
    assert.match(
      await post('/v1/contexts/prune', '{"older_than_ms":9007199254740991}'),
      /"deleted":\[\]/,
    );
    assert.match(await post('/v1/contexts/prune', '{"older_than_ms":-1}'), / 400 /);
    assert.match(await post('/v1/contexts/prune', '{"__proto__":{"older_than_ms":0}}'), / 400 /);
    assert.match(await post('/v1/cache/prune', '{"dry_run":false}'), /"deleted":\[\]/);
    for (const route of [
      '/v1/status',
      '/v1/pair-code',
      '/v1/clients/revoke',
      '/../v1/ping',
      '/__proto__',
    ])
      assert.match(await post(route, '{"ttl_ms":1000,"client":"x"}'), / 404 /, route);
    assert.match(await post('/v1/contexts/prune', ' '.repeat(70_000)), / 400 /);
    assert.match(await post('/v1/contexts/prune', '{'), / 400 /);
    assert.deepEqual(readdirSync(contexts), [id]);
    assert.ok(lstatSync(path.join(scene.host.stateDirectory, 'workspaces', id)).isDirectory());
    await scene.assertUnhurt('control');
  });
});

/** What comes back before the other side closes. */
async function answerTo(socket: TLSSocket, words: string): Promise<string> {
  const pieces: Buffer[] = [];
  socket.on('data', (piece: Buffer) => pieces.push(piece));
  socket.on('error', () => undefined);
  const closed = socket.closed ? undefined : once(socket, 'close');
  socket.write(words);
  await closed;
  return Buffer.concat(pieces).toString('latin1');
}
