import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DoctorReport } from '../../../../src/client/doctor.js';
import {
  doctorEndText,
  doctorJson,
  doctorStepText,
} from '../../../../src/cli/report/doctor-text.js';
import { terminalLook } from '../../../../src/cli/report/terminal-look.js';

const report: DoctorReport = {
  failed: 'tcp',
  steps: [
    { step: 'config', verdict: 'ok', elapsedMs: 4.2, detail: '/home/me/.rmtx.json' },
    {
      step: 'tcp',
      verdict: 'failed',
      elapsedMs: 3801,
      detail: '192.168.1.42:33221 did not answer in 3.8s, nor did any other address of it',
      code: 'firewall',
      cause: 'the machine is up, and a firewall on it drops TCP 33221, as some do unasked',
      cure: ['type the line of its firewall:', 'ufw: sudo ufw allow 33221/tcp', 'other: \u001b[2J'],
    },
    { step: 'tls', verdict: 'not-reached', elapsedMs: 0 },
    { step: 'run', verdict: 'not-reached', elapsedMs: 0 },
  ],
};
const look = { hasColour: false, hasUnicode: true, columns: 80 };

const textOf = (shown: typeof look): string =>
  report.steps.map((step) => doctorStepText(step, shown)).join('') + doctorEndText(report, shown);

test('the steps, why, what to do, and the last line, in 80 columns', () => {
  const text = textOf(look);
  assert.equal(
    text,
    `✓ config       4ms  /home/me/.rmtx.json
✗ tcp         3.8s  192.168.1.42:33221 did not answer in 3.8s, nor did any
                    other address of it
    why  the machine is up, and a firewall on it drops TCP 33221, as some do
         unasked
    do   type the line of its firewall:
         ufw: sudo ufw allow 33221/tcp
         other: \\x1b[2J
· not reached: tls, run

failed at tcp: type the line of its firewall: ufw: sudo ufw allow 33221/tcp (or as above)
`,
  );
});

test('colours, ASCII, and long lines for a file', () => {
  assert.match(textOf({ ...look, hasColour: true }), /^\u001b\[31m✗\u001b\[0m tcp/m);
  assert.match(textOf({ ...look, hasUnicode: false }), /^x tcp/m);
  const terminal = { isTTY: true, columns: 120 };
  const env = { LANG: 'en_GB.UTF-8' };
  assert.deepEqual(terminalLook(terminal, env), {
    hasColour: true,
    hasUnicode: true,
    columns: 120,
  });
  assert.equal(terminalLook(terminal, { ...env, NO_COLOR: '1' }).hasColour, false);
  assert.equal(terminalLook(terminal, { ...env, TERM: 'dumb' }).hasColour, false);
  assert.deepEqual(terminalLook({}, env), {
    hasColour: false,
    hasUnicode: true,
    columns: undefined,
  });
  assert.equal(terminalLook({}, { ...env, LC_ALL: 'C' }).hasUnicode, process.platform === 'win32');
});

test('as JSON: what there is of each step, and the first that failed', () => {
  assert.deepEqual(doctorJson(report), {
    steps: [
      { step: 'config', verdict: 'ok', elapsed_ms: 4.2, detail: '/home/me/.rmtx.json' },
      {
        step: 'tcp',
        verdict: 'failed',
        elapsed_ms: 3801,
        detail: '192.168.1.42:33221 did not answer in 3.8s, nor did any other address of it',
        code: 'firewall',
        cause: 'the machine is up, and a firewall on it drops TCP 33221, as some do unasked',
        cure: 'type the line of its firewall:\nufw: sudo ufw allow 33221/tcp\nother: \u001b[2J',
      },
      { step: 'tls', verdict: 'not-reached', elapsed_ms: 0 },
      { step: 'run', verdict: 'not-reached', elapsed_ms: 0 },
    ],
    failed: 'tcp',
  });
});
