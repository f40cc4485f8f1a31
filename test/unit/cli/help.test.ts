import assert from 'node:assert/strict';
import { test } from 'node:test';
import { commandGroups, commandTable } from '../../../src/cli/command-table.js';
import { exitCodeTable } from '../../../src/cli/exit-code.js';
import { helpText } from '../../../src/cli/help.js';

test('the overview names every command', () => {
  const text = helpText([]);
  for (const { name, summary } of commandTable) {
    assert.match(text, new RegExp(`^  rmtx ${name} +\\S`, 'm'));
    assert.ok(text.includes(summary), name);
  }
});

test('the help of a command shows its usage and every flag', () => {
  assert.equal(
    helpText(['pair']),
    `Pair with a host, or pair again, without touching the config.

Usage:
  $ rmtx pair [flags]

Flags:
      --host <ADDR>               Where the host is: ADDR[:PORT], the port is 33221 if left out
      --fingerprint <F>           Pair only with the host that has this fingerprint
      --code <CODE>               The code that \`rmtx host pair-code\` prints there; - reads it from stdin
      --label <LABEL>             What the host calls this client (default USER@MACHINE)
      --select <N>                Of several hosts that are found, take the one with this number
      --service <NAME>            Look for hosts of this service (default rmtx, or the config’s)
      --discovery-timeout <TIME>  Look for so long where no host answers (default 13.5s)
      --config <FILE>             Use this config file instead of looking for .rmtx.json upward
  -v, --verbose                   Say more: steps, times, causes
  -q, --quiet                     Say nothing but errors
      --json                      Print JSON, errors included
  -h, --help                      Show this help

Examples:
  rmtx pair --host 192.168.1.42:33221 --code 12345678
`,
  );
  for (const { name, flags } of commandTable) {
    const text = helpText(name.split(' '));
    for (const flag of flags) {
      const lines = text.split('\n').filter((each) => /^ +(?:-\w, )?--/.test(each));
      const line = lines.find((each) => each.includes(`--${flag.name}`));
      assert.ok(line?.endsWith(flag.summary), `${name} --${flag.name}`);
    }
  }
});

test('a flag that begins with no- is not said to be on by default', () => {
  assert.doesNotMatch(helpText(['exec']), /default: true/);
});

test('a group lists its commands, and a command that is a group shows both', () => {
  assert.equal(
    helpText(['context']),
    `Usage:
  $ rmtx context COMMAND [flags]

Commands:
  rmtx context list    List this client's contexts on the host
  rmtx context delete  Delete contexts on the host: workspaces, kept paths, blobs
  rmtx context prune   Delete contexts that have not been used for a while

\`rmtx context\` alone is \`rmtx context list\`.
`,
  );
  assert.match(helpText(['host']), /--listen <ADDR>[^]*More commands:\n {2}rmtx host pair-code/);
});

test('there is help on exit codes and on the environment', () => {
  for (const [code] of exitCodeTable) assert.ok(helpText(['exit-codes']).includes(`\n  ${code}`));
  assert.match(helpText(['environment']), /^ {2}RMTX_HOME +/m);
});

test('help on something unknown names the closest', () => {
  assert.throws(() => helpText(['exce']), {
    code: 'ERR_RMTX_UNKNOWN_COMMAND',
    message: 'no help for exce',
    hint: 'did you mean rmtx help exec?',
  });
});

test('no line is wider than 110 columns and none ends in a blank', () => {
  const topics = [
    [],
    ...commandTable.map((command) => command.name.split(' ')),
    ...Object.keys(commandGroups).map((group) => group.split(' ')),
    ['exit-codes'],
    ['environment'],
  ];
  for (const topic of topics)
    for (const line of helpText(topic).split('\n')) {
      assert.ok(line.length <= 110, line);
      assert.doesNotMatch(line, /\s$/);
    }
});

test('making help prints nothing by itself', (t) => {
  const info = t.mock.method(console, 'info', () => undefined);
  helpText(['exec']);
  assert.equal(info.mock.callCount(), 0);
});
