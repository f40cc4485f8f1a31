import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RmtxError } from '../../../src/errors.js';
import { derivePairingKeys } from '../../../src/trust/pairing-binding.js';
import type { PairingRun } from '../../../src/trust/pairing-binding.js';
import { askToPair, pairAsClient } from '../../../src/trust/pairing-exchange.js';
import { parseHostReply } from '../../../src/trust/pairing-messages.js';
import { PairingWire } from '../../../src/trust/pairing-wire.js';
import { Spake2Party, parseShare } from '../../../src/trust/spake2.js';
import {
  CODE,
  TestHost,
  memoryChannels,
  newIdentity,
  rightScalar,
  scratchDirectory,
  tlsConnect,
  tlsListener,
} from './pairing-rig.js';

const wanted = { code: CODE, label: 'laptop', wantedRole: 'exec' } as const;

test('two sides with the same code pair, and each knows the other’s key and name', async () => {
  const host = new TestHost();
  await host.open();
  const channels = memoryChannels();
  const [outcome, paired] = await Promise.all([
    host.serve(channels.host),
    pairAsClient(channels.client, wanted),
  ]);
  const client = {
    fingerprint: channels.client.clientFingerprint,
    label: 'laptop',
    role: 'exec',
  };
  assert.deepEqual(outcome, { kind: 'paired', client });
  assert.deepEqual(host.trusted, [client]);
  assert.deepEqual(paired, { hostName: 'big-box' });
  assert.equal(host.window.state.kind, 'closed');
});

test('the same over real TLS', async () => {
  using scratch = scratchDirectory();
  const host = new TestHost();
  await host.open();
  const outcomes: Promise<unknown>[] = [];
  await using listener = await tlsListener(newIdentity(scratch.path, 'host'), (channel) =>
    outcomes.push(host.serve(channel)),
  );
  const identity = newIdentity(scratch.path, 'client');
  const channel = await tlsConnect(identity, listener.port);
  assert.deepEqual(await pairAsClient(channel, wanted), { hostName: 'big-box' });
  await outcomes[0];
  assert.equal(host.trusted[0]?.fingerprint, identity.fingerprint);
});

test('the owner’s label goes before the client’s', async () => {
  const host = new TestHost();
  await host.open(60_000, 'my laptop');
  const channels = memoryChannels();
  await Promise.all([host.serve(channels.host), pairAsClient(channels.client, wanted)]);
  assert.equal(host.trusted[0]?.label, 'my laptop');
});

test('asking first: closed and said once, then open, then pairing on another connection', async () => {
  const host = new TestHost();
  const ask = async (): Promise<string> => {
    const channels = memoryChannels();
    const [outcome, state] = await Promise.all([
      host.serve(channels.host),
      askToPair(channels.client, { label: 'laptop' }),
    ]);
    assert.deepEqual(outcome, { kind: 'asked', label: 'laptop', state });
    return state;
  };
  assert.equal(await ask(), 'closed');
  assert.equal(await ask(), 'closed');
  assert.deepEqual(host.asked, ['laptop']);
  await host.open();
  assert.equal(await ask(), 'open');
  const channels = memoryChannels();
  await Promise.all([host.serve(channels.host), pairAsClient(channels.client, wanted)]);
  assert.equal(host.trusted.length, 1);
});

test('a client that starts without a window is told, and so is the owner', async () => {
  const host = new TestHost();
  const channels = memoryChannels();
  const [outcome] = await Promise.all([
    host.serve(channels.host),
    assert.rejects(pairAsClient(channels.client, wanted), {
      code: 'ERR_RMTX_PAIRING_CLOSED',
      hint: /rmtx host pair-code/,
    }),
  ]);
  assert.deepEqual(outcome, { kind: 'refused', label: 'laptop', reason: 'closed' });
  assert.deepEqual(host.asked, ['laptop']);
});

test('trust is stored before the client is told', async () => {
  const host = new TestHost();
  await host.open();
  const channels = memoryChannels();
  const order: string[] = [];
  const paired = pairAsClient(channels.client, wanted).then(() => order.push('client told'));
  await host.serve(channels.host, {
    onPaired: async () => {
      order.push('storing');
      // Whatever was on its way to the client would be there by then.
      for (let turn = 0; turn < 10; turn++)
        await new Promise((resolve) => void setImmediate(resolve));
      order.push('stored');
    },
  });
  await paired;
  assert.deepEqual(order, ['storing', 'stored', 'client told']);
});

test('where trust cannot be stored nobody is paired, and the code is used up', async () => {
  const host = new TestHost();
  for (const failure of [new RmtxError('ERR_RMTX_DISK_FULL', 'full'), new Error('EIO')]) {
    await host.open();
    const channels = memoryChannels();
    const [outcome] = await Promise.all([
      host.serve(channels.host, {
        onPaired: () => {
          throw failure;
        },
      }),
      assert.rejects(pairAsClient(channels.client, wanted), { code: 'ERR_RMTX_PAIRING_FAILED' }),
    ]);
    assert.equal(outcome.kind, 'failed');
    assert.equal(host.window.state.kind, 'closed');
  }
});

test('a client of another version is told so', async () => {
  const host = new TestHost();
  await host.open();
  const channels = memoryChannels();
  const wire = new PairingWire(channels.client.stream, 5000);
  wire.send({ type: 'start', versions: { min: 2, max: 3 }, future: true });
  const [outcome, reply] = await Promise.all([host.serve(channels.host), wire.receive()]);
  assert.ok(outcome.kind === 'failed' && outcome.error.code === 'ERR_RMTX_VERSION_MISMATCH');
  assert.deepEqual(reply, { type: 'refused', reason: 'version' });
  wire.destroy();
});

test('a client of a later version that still speaks ours pairs', async () => {
  const host = new TestHost();
  await host.open();
  const channels = memoryChannels();
  const party = new Spake2Party({ role: 'A', secret: await rightScalar() });
  const opening: PairingRun['opening'] = {
    type: 'start',
    versions: { min: 1, max: 7 },
    role: 'exec',
    label: 'laptop',
    share: party.share,
  };
  const wire = new PairingWire(channels.client.stream, 5000);
  const served = host.serve(channels.host);
  wire.send({ ...opening, share: party.share.toString('hex') });
  const reply = parseHostReply(await wire.receive(), 'share');
  assert.ok(reply.type === 'share' && reply.version === 1);
  const peer = parseShare(reply.share);
  const keys = derivePairingKeys({ channel: channels.client, opening, reply, party, peer });
  wire.send({ type: 'confirm', mac: keys?.confirmationA.toString('hex') });
  assert.deepEqual(await wire.receive(), {
    type: 'confirm',
    mac: keys?.confirmationB.toString('hex'),
  });
  assert.equal((await served).kind, 'paired');
  wire.destroy();
});

test('an exporter of the wrong size is a bug that never gets as far as a message', async () => {
  const channel = { ...memoryChannels().client, exporter: Buffer.alloc(0) };
  await assert.rejects(pairAsClient(channel, wanted), /exporter must be 32 bytes/);
  await assert.rejects(new TestHost().serve(channel), /exporter must be 32 bytes/);
});
