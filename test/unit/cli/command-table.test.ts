import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { parseCommandLine } from '../../../src/cli/arguments.js';
import {
  commandGroups,
  commandTable,
  findCommand,
  nextWords,
} from '../../../src/cli/command-table.js';

const words = (line: string): string[] =>
  (line.match(/'[^']*'|\S+/g) ?? []).map((word) => word.replace(/^'|'$/g, ''));

test('no command and no flag is there twice', () => {
  const names = commandTable.map((command) => command.name);
  assert.deepEqual([...new Set(names)], names);
  for (const { name, flags } of commandTable) {
    const all = flags.flatMap((flag) => [
      flag.name,
      ...(flag.short === undefined ? [] : [flag.short]),
    ]);
    assert.deepEqual([...new Set(all)], all, name);
  }
});

test('every command has a file, help, and a place in its group', () => {
  for (const { name, module, flags, minOperands, operands } of commandTable) {
    assert.ok(existsSync(path.join(__dirname, `../../../src/cli/commands/${module}.js`)), module);
    assert.ok(
      flags.some((flag) => flag.name === 'help'),
      name,
    );
    assert.equal(minOperands > 0 && operands === '', false, name);
    const parts = name.split(' ');
    for (let count = 1; count < parts.length; count++)
      assert.ok(Object.hasOwn(commandGroups, parts.slice(0, count).join(' ')), name);
  }
});

test('a group holds commands, and what it means alone exists', () => {
  for (const [group, { alone }] of Object.entries(commandGroups)) {
    assert.ok(nextWords(group).length > 0, group);
    if (alone !== undefined) assert.ok(findCommand(alone), group);
  }
});

test('every example is a command line that parses', () => {
  for (const { name, examples } of commandTable)
    for (const example of examples ?? []) {
      const [program, ...argv] = words(example);
      assert.equal(program, 'rmtx');
      assert.equal(parseCommandLine(argv).command.name, name, example);
    }
});

test('every command reports in JSON but those that serve or explain', () => {
  const without = commandTable
    .filter((command) => !command.flags.some((flag) => flag.name === 'json'))
    .map((command) => command.name);
  assert.deepEqual(without, ['host', 'help']);
});
