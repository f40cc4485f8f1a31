import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HostStatus } from '../../../../src/host/administration.js';
import { hostStatusJson, hostStatusText } from '../../../../src/cli/report/host-status.js';
import { dialableAddresses, firstPairingLines } from '../../../../src/cli/report/host-text.js';

const stopped: HostStatus = {
  running: false,
  addresses: [],
  name: 'desk',
  fingerprint: 'sha256:ab',
  version: '1.0.0',
  pid: undefined,
  uptimeMs: 0,
  clients: 1,
  runs: [],
  contexts: 2,
  disk: { blobsBytes: 1000, workspacesBytes: 2_500_000, freeBytes: 3e9 },
  processes: '',
  keepsAwake: undefined,
  environment: {},
};

const running: HostStatus = {
  ...stopped,
  running: true,
  addresses: ['[::]:33221'],
  pid: 42,
  uptimeMs: 7_200_000,
  runs: [
    {
      id: 'r1',
      client: 'c1',
      clientLabel: 'me@laptop',
      context: 'x1',
      state: 'running',
      startedAt: '2026-01-01T00:00:00Z',
      commandLine: 'make all',
    },
  ],
  processes: 'cgroup',
  keepsAwake: { state: 'ready', scope: undefined, reason: undefined },
  environment: { PATH: '/bin', HOME: '/h' },
};

const view = {
  extent: 'short',
  local: ['192.168.1.42', 'fd00::1'],
  nowMs: Date.parse('2026-01-01T00:01:00Z'),
} as const;

test('the status of a stopped host says so', () => {
  assert.equal(
    hostStatusText(stopped, { ...view, extent: 'all' }),
    `running   no
name      desk
identity  sha256:ab
version   1.0.0
clients   1
contexts  2
runs      0
disk      blobs 1kB, workspaces 2.5MB, free 3GB
`,
  );
});

test('the status of a running host lists its runs, and with -v what commands start with', () => {
  assert.equal(
    hostStatusText(running, { ...view, extent: 'all' }),
    `running      yes, for 2h
pid          42
address      192.168.1.42:33221 [fd00::1]:33221
name         desk
identity     sha256:ab
version      1.0.0
clients      1
contexts     2
runs         1
disk         blobs 1kB, workspaces 2.5MB, free 3GB
keeps awake  while a run is active

RUN  CLIENT     STATE    AGE  COMMAND   CONTEXT
r1   me@laptop  running  1m   make all  x1

processes  cgroup

environment
  HOME  /h
  PATH  /bin
`,
  );
  assert.doesNotMatch(hostStatusText(running, view), /environment|cgroup/);
});

test('the status in JSON has stable keys', () => {
  assert.deepEqual(hostStatusJson(running), {
    running: true,
    addresses: ['[::]:33221'],
    name: 'desk',
    fingerprint: 'sha256:ab',
    version: '1.0.0',
    pid: 42,
    uptime_ms: 7_200_000,
    clients: 1,
    runs: [
      {
        id: 'r1',
        client: 'c1',
        client_label: 'me@laptop',
        context: 'x1',
        state: 'running',
        started_at: '2026-01-01T00:00:00Z',
        command_line: 'make all',
      },
    ],
    contexts: 2,
    disk: { blobs_bytes: 1000, workspaces_bytes: 2_500_000, free_bytes: 3e9 },
    processes: 'cgroup',
    keeps_awake: { state: 'ready', scope: null, reason: null },
    environment: { PATH: '/bin', HOME: '/h' },
  });
});

test('whether the machine is kept awake is said with the reason where it is not', () => {
  const row = (keepsAwake: HostStatus['keepsAwake']): string =>
    /^keeps awake  (.*)$/m.exec(hostStatusText({ ...running, keepsAwake }, view))?.[1] ?? '';
  const reason = 'Access denied';
  assert.equal(row({ state: 'off', scope: undefined, reason: undefined }), 'no: --no-keep-awake');
  assert.equal(row({ state: 'held', scope: 'all', reason: undefined }), 'yes, a run is active');
  assert.equal(
    row({ state: 'ready', scope: 'idle', reason }),
    'while a run is active; only from idling into sleep (Access denied)',
  );
  assert.equal(row({ state: 'cannot', scope: undefined, reason }), 'cannot: Access denied');
  assert.equal(row(undefined), '');
});

test('the first start shows the code and what to type elsewhere', () => {
  assert.deepEqual(
    firstPairingLines({
      code: '12345678',
      fingerprint: 'sha256:ab',
      remainingMs: 300_000,
      addresses: ['192.168.1.42:33221', '10.0.0.2:33221'],
    }),
    [
      'nobody is paired with this host yet, so pairing is open',
      '  code         1234 5678 (for 5m)',
      '  fingerprint  sha256:ab',
      '  in a project on the other machine: rmtx init --host 192.168.1.42:33221',
      '  other addresses of this machine: 10.0.0.2:33221',
    ],
  );
});

test("a host on every address is dialled at the machine's own", () => {
  const local = ['192.168.1.42', 'fd00::1'];
  assert.deepEqual(dialableAddresses(['[::]:33221'], local), [
    '192.168.1.42:33221',
    '[fd00::1]:33221',
  ]);
  assert.deepEqual(dialableAddresses(['0.0.0.0:5'], local), ['192.168.1.42:5']);
  assert.deepEqual(dialableAddresses(['127.0.0.1:5'], local), ['127.0.0.1:5']);
});
