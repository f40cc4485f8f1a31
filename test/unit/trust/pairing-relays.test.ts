/** The attacks of whoever sits in between. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { pairAsClient } from '../../../src/trust/pairing-exchange.js';
import type { PairingChannel, PairingOutcome } from '../../../src/trust/pairing-exchange.js';
import { PairingWire } from '../../../src/trust/pairing-wire.js';
import { Spake2Party } from '../../../src/trust/spake2.js';
import {
  TestHost,
  memoryChannels,
  newIdentity,
  randomFingerprint,
  rightScalar,
  scratchDirectory,
  tlsConnect,
  tlsListener,
  wrongScalar,
} from './pairing-rig.js';
import { RogueClient, refusalOfHonestClient, tampered, wanted } from './pairing-rogue.js';

describe('in between', () => {
  test('a relay with TLS connections of its own fails though both sides have the right code', async () => {
    using scratch = scratchDirectory();
    const host = new TestHost();
    await host.open();
    const outcomes: Promise<PairingOutcome>[] = [];
    await using listener = await tlsListener(newIdentity(scratch.path, 'host'), (channel) =>
      outcomes.push(host.serve(channel)),
    );
    const relayIdentity = newIdentity(scratch.path, 'relay');
    const onward = await tlsConnect(relayIdentity, listener.port);
    await using relay = await tlsListener(relayIdentity, ({ stream }) => {
      stream.pipe(onward.stream).pipe(stream);
    });
    const channel = await tlsConnect(newIdentity(scratch.path, 'client'), relay.port);
    assert.ok(!channel.exporter.equals(onward.exporter));
    await assert.rejects(pairAsClient(channel, wanted), { code: 'ERR_RMTX_PAIRING_CODE_WRONG' });
    assert.deepEqual(await outcomes[0], { kind: 'refused', label: 'laptop', reason: 'wrong-code' });
    assert.deepEqual(host.trusted, []);
    onward.stream.destroy();
  });

  test('a relay that has the code itself cannot make the host trust the client it is relaying', async () => {
    const host = new TestHost();
    await host.open();
    const toHost = memoryChannels();
    const toClient = memoryChannels();
    // It pairs with the host first, in its own name: that is what the code is for.
    const rogue = new RogueClient(toHost.client, await rightScalar(), 'laptop');
    const served = host.serve(toHost.host);
    const confirmation = await rogue.run();
    assert.equal((await served).kind, 'paired');
    assert.equal(host.trusted[0]?.fingerprint, toHost.client.clientFingerprint);
    // Then it hands what it got to the client that waits.
    const paired = pairAsClient(toClient.client, wanted);
    const wire = new PairingWire(toClient.host.stream, 5000);
    await wire.receive();
    const party = new Spake2Party({ role: 'B', secret: wrongScalar() });
    wire.send({
      type: 'share',
      version: 1,
      host_name: 'big-box',
      share: party.share.toString('hex'),
    });
    await wire.receive();
    wire.send({ type: 'confirm', mac: confirmation.mac });
    await assert.rejects(paired, { code: 'ERR_RMTX_PAIRING_FAILED' });
    await refusalOfHonestClient(host, 'ERR_RMTX_PAIRING_CLOSED');
    assert.equal(host.trusted.length, 1);
    rogue.wire.destroy();
    wire.destroy();
  });

  test('connection and keys are bound: one that differs between the sides is enough to fail', async () => {
    const differences: Partial<PairingChannel>[] = [
      { exporter: randomBytes(32) },
      { clientFingerprint: randomFingerprint() },
      { hostFingerprint: randomFingerprint() },
    ];
    for (const difference of differences) {
      const host = new TestHost();
      await host.open();
      const channels = memoryChannels();
      await Promise.all([
        host.serve({ ...channels.host, ...difference }),
        assert.rejects(pairAsClient(channels.client, wanted), {
          code: 'ERR_RMTX_PAIRING_CODE_WRONG',
        }),
      ]);
      assert.deepEqual(host.trusted, []);
    }
  });

  test('nothing that is said can be changed on the way', async () => {
    const changes: [string, string][] = [
      ['"label":"laptop"', '"label":"laptoq"'],
      ['"versions":{"min":1,"max":1}', '"versions":{"min":1,"max":2}'],
      ['"host_name":"big-box"', '"host_name":"big-bax"'],
    ];
    for (const [before, after] of changes) {
      const host = new TestHost();
      await host.open();
      const channels = memoryChannels();
      const changed = tampered(channels.client.stream, before, after);
      await Promise.all([
        host.serve(channels.host),
        assert.rejects(pairAsClient({ ...channels.client, stream: changed.stream }, wanted), {
          code: 'ERR_RMTX_PAIRING_CODE_WRONG',
        }),
      ]);
      assert.equal(changed.count(), 1, before);
      assert.deepEqual(host.trusted, []);
      channels.client.stream.destroy();
    }
  });
});

describe('reflecting', () => {
  /** A host of the attacker's that gives back what it gets. */
  async function reflect(
    share: (ofClient: string) => string,
  ): Promise<{ failure: Promise<void>; wire: PairingWire }> {
    const channels = memoryChannels();
    const failure = assert.rejects(pairAsClient(channels.client, wanted), {
      code: 'ERR_RMTX_PAIRING_FAILED',
      message: /could not prove/,
    });
    const wire = new PairingWire(channels.host.stream, 5000);
    const opening = (await wire.receive()) as { share: string };
    const sent = share(opening.share);
    wire.send({ type: 'share', version: 1, host_name: 'big-box', share: sent });
    return { failure, wire };
  }

  test('a host that returns the client’s own share is refused before the client confirms', async () => {
    const { failure, wire } = await reflect((ofClient) => ofClient);
    await assert.rejects(wire.receive(), { code: 'ERR_RMTX_CONNECTION_LOST' });
    await failure;
    wire.destroy();
  });

  test('a host that returns the client’s own confirmation is refused', async () => {
    const secret = wrongScalar();
    const { failure, wire } = await reflect(() =>
      new Spake2Party({ role: 'B', secret }).share.toString('hex'),
    );
    const confirm = (await wire.receive()) as { mac: string };
    wire.send({ type: 'confirm', mac: confirm.mac });
    await failure;
    wire.destroy();
  });

  test('a client that returns the host’s share from another run is refused', async () => {
    const host = new TestHost();
    await host.open();
    const first = memoryChannels();
    const probe = new RogueClient(first.client, wrongScalar());
    const probed = host.serve(first.host);
    probe.start();
    const ofHost = Buffer.from((await probe.receive()).share ?? '', 'hex');
    probe.wire.destroy();
    await probed;

    const second = memoryChannels();
    const rogue = new RogueClient(second.client, wrongScalar());
    const served = host.serve(second.host);
    rogue.start(ofHost);
    assert.equal((await rogue.confirm(await rogue.receive())).reason, 'wrong-code');
    await served;
    rogue.wire.destroy();
  });
});
