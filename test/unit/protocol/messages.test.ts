import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { allErrorCodes, isRmtxError, RmtxError } from '../../../src/errors.js';
import {
  encodeClientMessage,
  parseClientMessage,
} from '../../../src/protocol/client-message-codec.js';
import { encodeHostMessage, parseHostMessage } from '../../../src/protocol/host-message-codec.js';
import type { ClientMessage, HostMessage } from '../../../src/protocol/messages.js';
import type { ManifestId, Problem } from '../../../src/sync/entry.js';
import { digestOf } from '../../support/blob-places.js';

const manifestId = `manifest:${'ab'.repeat(32)}` as ManifestId;
const throughJson = (value: object): unknown => JSON.parse(JSON.stringify(value));

test('every client message survives the wire', () => {
  const messages: ClientMessage[] = [
    { type: 'hello', protocolMin: 1, protocolMax: 3, version: '1.2.3' },
    {
      type: 'run_open',
      runId: 'r0123456789abcdef',
      contextKey: 'ab'.repeat(16),
      contextName: 'näme',
      label: '',
      offersEntriesAhead: true,
    },
    { type: 'ahead_sample', digests: [] },
    { type: 'ahead_sample', digests: [digestOf('a'), digestOf('b')] },
    { type: 'ahead', sizes: [4 * 1024 * 1024, Number.MAX_SAFE_INTEGER] },
    { type: 'manifest', round: 0, base: null, manifestId, hasRules: true },
    { type: 'manifest', round: 2, base: manifestId, manifestId, hasRules: false },
    {
      type: 'start',
      command: ['sh', '-c', 'x'],
      cwd: 'a/b',
      env: new Map([
        ['__proto__', 'x'],
        ['A', ''],
      ]),
      hasStdin: true,
      timeoutMs: 5,
      wantsSyncBack: false,
      clockOffsetUs: -7,
      terminal: undefined,
      isDetached: false,
      disconnectGraceMs: 0,
    },
    {
      type: 'start',
      command: ['vim'],
      cwd: '',
      env: new Map(),
      hasStdin: true,
      timeoutMs: undefined,
      wantsSyncBack: true,
      clockOffsetUs: 0,
      terminal: { columns: 80, rows: 24, term: 'xterm-256color' },
      isDetached: true,
      disconnectGraceMs: undefined,
    },
    {
      type: 'run_attach',
      runId: 'r0123456789abcdef',
      mode: 'resume',
      stdoutOffset: 5,
      stderrOffset: 0,
      tail: true,
    },
    { type: 'pull', runId: undefined, contextKey: 'ab'.repeat(16), paths: ['a/b'] },
    { type: 'pull', runId: 'r0123456789abcdef', contextKey: 'ab'.repeat(16), paths: [] },
    { type: 'signal', name: 'SIGUSR1' },
    { type: 'resize', columns: 132, rows: 50 },
    { type: 'forward_open', channel: 1024, port: 3000 },
    { type: 'forward_broken', channel: 1279 },
    { type: 'stop', isForced: true },
    { type: 'applied' },
    { type: 'discard' },
  ];
  for (const message of messages)
    assert.deepEqual(parseClientMessage(throughJson(encodeClientMessage(message))), message);
});

test('every host message survives the wire', () => {
  const problems = [{ path: 'a' as Problem['path'], code: 'refused', message: 'no' } as const];
  const messages: HostMessage[] = [
    {
      type: 'welcome',
      protocol: 1,
      version: '1',
      name: 'box',
      nowUs: 5,
      hardwareAddresses: ['3c:7c:3f:01:02:03'],
    },
    {
      type: 'run_opened',
      workspace: '/w',
      slot: 1,
      isCold: true,
      base: null,
      takesEntriesAhead: true,
      waiting: [],
    },
    {
      type: 'run_opened',
      workspace: '/w',
      slot: 0,
      isCold: false,
      base: manifestId,
      takesEntriesAhead: false,
      waiting: ['r0123456789abcdef'],
    },
    {
      type: 'run_attached',
      state: 'running',
      command: ['sh', '-c', 'x'],
      stdoutOffset: 5,
      stderrOffset: 0,
      stdinOffset: 7,
      takesStdin: true,
      hasTerminal: false,
      wantsSyncBack: true,
      slot: 3,
    },
    { type: 'ahead_sampled', isWanted: true },
    { type: 'ahead_sampled', isWanted: false },
    { type: 'ahead_wanted', indexes: [0, 7] },
    { type: 'ahead_wanted', indexes: [] },
    { type: 'blobs_wanted', round: 1, files: 3, bytes: 9 },
    { type: 'started' },
    {
      type: 'exited',
      outcome: { kind: 'signalled', exitSignal: 'SIGKILL', number: 9 },
      durationMs: 1,
      sweptProcesses: 0,
      isOutputCut: false,
    },
    {
      type: 'exited',
      outcome: { kind: 'not-found', searched: '/bin' },
      durationMs: 1,
      sweptProcesses: 2,
      isOutputCut: true,
    },
    {
      type: 'change_set',
      manifestId,
      changes: 1,
      bytes: 2,
      ignored: { count: 1, bytes: 2, largestFolder: 'x' },
      problems,
    },
    { type: 'change_set', manifestId, changes: 0, bytes: 0, ignored: undefined, problems: [] },
    { type: 'acknowledged' },
    { type: 'pulled', changes: 1, bytes: 2, missing: ['x'], problems },
    { type: 'forward_broken', channel: 1024, failure: 'refused' },
    { type: 'forward_over', channel: 1279 },
    { type: 'notice', code: 'x', message: 'y' },
  ];
  for (const message of messages)
    assert.deepEqual(parseHostMessage(throughJson(encodeHostMessage(message))), message);
});

test('a forwarded connection has a number of its range and a port that there is', () => {
  const anything = fc.oneof(
    fc.nat(70_000),
    fc.constantFrom(-1, 0, 1023, 1279, 1280, 0.5),
    fc.anything(),
  );
  fc.assert(
    fc.property(anything, anything, (channel, port) => {
      const isNumber =
        Number.isInteger(channel) && Number(channel) >= 1024 && Number(channel) < 1280;
      const isPort = Number.isInteger(port) && Number(port) >= 1 && Number(port) <= 65_535;
      const isTaken = (parse: () => unknown): boolean => {
        try {
          parse();
          return true;
        } catch (error) {
          assert.ok(isRmtxError(error) && error.code === 'ERR_RMTX_BAD_MESSAGE', String(error));
          return false;
        }
      };
      const open = { type: 'forward_open', channel, port };
      assert.equal(
        isTaken(() => parseClientMessage(open)),
        isNumber && isPort,
      );
      assert.equal(
        isTaken(() => parseClientMessage({ ...open, type: 'forward_broken' })),
        isNumber,
      );
      assert.equal(
        isTaken(() => parseHostMessage({ ...open, type: 'forward_over' })),
        isNumber,
      );
    }),
  );
});

test('every error code keeps its code, message and hint on the wire', () => {
  for (const code of allErrorCodes()) {
    const sent = new RmtxError(code, `message of ${code}`, { hint: 'do this' });
    const received = parseHostMessage(
      throughJson(encodeHostMessage({ type: 'error', error: sent })),
    );
    assert.equal(received.type, 'error');
    assert.deepEqual(
      [
        received.error.code,
        received.error.message,
        received.error.hint,
        received.error.isRetryable,
      ],
      [sent.code, sent.message, sent.hint, sent.isRetryable],
    );
  }
});

test('anything else is refused with BAD_MESSAGE and nothing worse', () => {
  const almost = fc.record(
    {
      type: fc.constantFrom(
        'hello',
        'run_open',
        'manifest',
        'start',
        'stop',
        'exited',
        'change_set',
        'welcome',
        'forward_open',
        'forward_broken',
        'forward_over',
        'nonsense',
      ),
      protocol_min: fc.anything(),
      run_id: fc.anything(),
      command: fc.anything(),
      env: fc.anything(),
      outcome: fc.anything(),
      problems: fc.anything(),
    },
    { requiredKeys: ['type'] },
  );
  fc.assert(
    fc.property(fc.oneof(fc.anything(), almost), (value) => {
      for (const parse of [parseClientMessage, parseHostMessage]) {
        try {
          parse(value);
        } catch (error) {
          assert.ok(isRmtxError(error), String(error));
          assert.equal(error.code, 'ERR_RMTX_BAD_MESSAGE');
        }
      }
    }),
    { numRuns: 500 },
  );
});
