import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { describe, test } from 'node:test';
import type { CallBackRequest } from '../../../src/discovery/call-desk.js';
import { DialBack } from '../../../src/host/dial-back.js';
import { proveCallBack } from '../../../src/trust/call-back-proof.js';
import { fingerprintId, fingerprintOfKey } from '../../../src/trust/fingerprint.js';
import type { Fingerprint } from '../../../src/trust/fingerprint.js';
import type { Identity } from '../../../src/trust/identity.js';

const HOST = `sha256:${'ab'.repeat(32)}` as Fingerprint;
const HERE = '127.0.0.1';

function newIdentity(): Identity {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const keyPem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  return { keyPem, certPem: '', fingerprint: fingerprintOfKey(publicKey) };
}

/** A host that trusts one client, and a port at which the client listens. */
class Scene implements AsyncDisposable {
  readonly client = newIdentity();
  readonly served: boolean[] = [];
  readonly lines: string[] = [];
  isTrusted = true;
  isStoreBroken = false;
  isNear = true;
  pairingUntilMs: number | undefined;
  readonly #sockets: Socket[] = [];
  /** The ports of the host's ends, of what has come in. */
  readonly #came = new Set<number | undefined>();
  #wake: () => void = () => undefined;
  readonly #server = net.createServer((socket) => {
    this.#sockets.push(socket);
    this.#came.add(socket.remotePort);
    this.#wake();
  });
  readonly #dialed: (number | undefined)[] = [];
  readonly dialBack = new DialBack({
    fingerprint: HOST,
    trust: {
      get: (fingerprint) => {
        if (this.isStoreBroken) throw new Error('no descriptor is left');
        if (!this.isTrusted || fingerprint !== this.client.fingerprint) return undefined;
        const id = fingerprintId(fingerprint);
        const times = { pairedAt: '', pairedFrom: '', lastSeen: undefined };
        return { id, fingerprint, label: 'laptop', role: 'exec', ...times };
      },
    },
    pairingUntilMs: () => this.pairingUntilMs,
    serve: (socket, { isPairingOnly }) => {
      this.served.push(isPairingOnly);
      this.#sockets.push(socket);
      this.#dialed.push(socket.localPort);
      this.#wake();
    },
    log: (line) => this.lines.push(line),
    isNear: () => this.isNear,
  });

  static async make(): Promise<Scene> {
    const scene = new Scene();
    scene.#server.listen(0, HERE);
    await once(scene.#server, 'listening');
    return scene;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** What the client asks for; `signed` is what it has signed instead. */
  request(
    signed: { identity?: Identity; host?: Fingerprint; address?: string; port?: number } = {},
  ): CallBackRequest {
    const terms = {
      host: HOST,
      address: HERE,
      port: this.port,
      cookie: randomBytes(16),
      nonce: randomBytes(8),
    };
    const proof = proveCallBack(signed.identity ?? this.client, { ...terms, ...signed });
    const { cookie, nonce, port } = terms;
    return { cookie, nonce, port, proof, source: HERE };
  }

  pairing(): CallBackRequest {
    return { ...this.request(), proof: undefined };
  }

  /** Resolves when so many connections were made, and all of them have come in. */
  async settled(count: number): Promise<void> {
    while (this.#dialed.length < count || !this.#dialed.every((port) => this.#came.has(port)))
      await new Promise<void>((resolve) => (this.#wake = resolve));
  }

  /** How many connections came in, the one that is asked for now included: it is the last. */
  async countAfterGood(): Promise<number> {
    this.dialBack.take(this.request());
    await this.settled(this.#dialed.length + 1);
    return this.#came.size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.dialBack[Symbol.dispose]();
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

describe('a host dials back', () => {
  test('a paired client, and says so', async () => {
    await using scene = await Scene.make();
    assert.equal(await scene.countAfterGood(), 1);
    assert.deepEqual(scene.served, [false]);
    assert.match(scene.lines.join(), /^dialled back laptop at 127\.0\.0\.1, who cannot reach/);
  });

  test('never: a stranger, a client that was revoked, and a signature for anything else', async () => {
    await using scene = await Scene.make();
    const { dialBack } = scene;
    dialBack.take(scene.request({ identity: newIdentity() }));
    dialBack.take(scene.request({ host: `sha256:${'cd'.repeat(32)}` as Fingerprint }));
    dialBack.take(scene.request({ address: '10.0.0.4' }));
    dialBack.take(scene.request({ port: scene.port ^ 1 }));
    const good = scene.request();
    dialBack.take({ ...good, cookie: randomBytes(16) });
    dialBack.take({ ...good, nonce: randomBytes(8) });
    const { proof } = scene.request({ identity: newIdentity() });
    assert.ok(proof !== undefined && good.proof !== undefined);
    dialBack.take({ ...good, proof: { ...good.proof, signature: proof.signature } });
    dialBack.take({ ...good, proof: { ...good.proof, spki: proof.spki } });
    dialBack.take({ ...good, port: 22 });
    dialBack.take(scene.pairing());
    scene.isTrusted = false;
    dialBack.take(good);
    scene.isTrusted = true;
    assert.equal(await scene.countAfterGood(), 1);
    assert.equal(scene.lines.length, 1);
  });

  test('a stranger of this network while a code is shown, for pairing alone, and not often', async () => {
    await using scene = await Scene.make();
    const { dialBack } = scene;
    scene.pairingUntilMs = 1;
    scene.isNear = false;
    dialBack.take(scene.pairing());
    scene.isNear = true;
    for (let asked = 0; asked < 30; asked++) dialBack.take(scene.pairing());
    await scene.settled(2);
    assert.equal(await scene.countAfterGood(), 3);
    assert.deepEqual(scene.served, [true, true, false]);
  });

  test('one client, and not often at once', async () => {
    await using scene = await Scene.make();
    const { dialBack } = scene;
    // Nobody is dialled before this turn is over: all of these are under way together.
    for (let asked = 0; asked < 30; asked++) dialBack.take(scene.request());
    await scene.settled(4);
    assert.equal(await scene.countAfterGood(), 5);
  });

  test('nobody where the trust store cannot be read, and serves on', async () => {
    await using scene = await Scene.make();
    scene.isStoreBroken = true;
    scene.dialBack.take(scene.request());
    assert.match(scene.lines.join(), /not dialled back: .*no descriptor is left/);
    scene.isStoreBroken = false;
    assert.equal(await scene.countAfterGood(), 1);
  });

  test('nobody after its end', async () => {
    await using scene = await Scene.make();
    const { dialBack } = scene;
    dialBack.take(scene.request());
    dialBack[Symbol.dispose]();
    dialBack.take(scene.request());
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(scene.served, []);
  });
});
