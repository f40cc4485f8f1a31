import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { commandTable, findCommand, nextWords } from '../../../src/cli/command-table.js';
import { exitCodeTable } from '../../../src/cli/exit-code.js';
import { configShape } from '../../../src/config/config-shape.js';
import type { Shape } from '../../../src/config/shape.js';

const ROOT = path.resolve(__dirname, '../../../..');
const readme = readFileSync(path.join(ROOT, 'README.md'), 'utf8');

/** What stands under a heading, up to the next one of its kind. */
function section(title: string): string {
  const [, text] = readme.split(new RegExp(`^## ${title}$`, 'm'));
  assert.ok(text, `README has no section ${title}`);
  return text.split(/^## /m)[0] ?? '';
}

/** The first cell of each row of the first table in a text, without its heading. */
function firstColumn(text: string): string[] {
  return text
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .map((line) => (line.split(/(?<!\\)\|/)[1] ?? '').trim().replaceAll('\\|', '|'))
    .slice(1);
}

/** What is set as code in a text. */
function codeIn(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map(([, code = '']) => code);
}

/** The commands that a usage such as `rmtx hosts [list|forget NAME]` stands for. */
function commandsOf(usage: string): string[] {
  const [program, ...words] = usage.split(' ');
  assert.equal(program, 'rmtx', usage);
  const end = words.findIndex((word) => !/^[a-z-]+$/.test(word) || word.startsWith('-'));
  const name = words.slice(0, end < 0 ? words.length : end).join(' ');
  const [, choices] = /\[([^\]]*)\]/.exec(usage) ?? [];
  const members = nextWords(name);
  if (choices === undefined || !choices.split(/[| ]/).some((word) => members.includes(word)))
    return [name];
  return choices.split('|').map((choice) => `${name} ${choice.split(' ')[0] ?? ''}`);
}

test('the table of commands names each command once, with flags that it has', () => {
  const usages = firstColumn(section('Commands')).flatMap(codeIn);
  const named = usages.flatMap(commandsOf);
  assert.deepEqual(named.toSorted(), commandTable.map(({ name }) => name).toSorted());
  for (const usage of usages)
    for (const [, flag = ''] of usage.matchAll(/--([a-z-]+)/g)) {
      const has = commandsOf(usage).some((name) =>
        findCommand(name)?.flags.some((each) => each.name === flag),
      );
      assert.ok(has, `${usage}: --${flag}`);
    }
});

test('the exit codes are the ones that the program has', () => {
  const text = section('Exit codes');
  const numbers = (cells: readonly string[]): string[] =>
    [...new Set(cells.flatMap((cell) => cell.match(/\b\d+(?: ?\+ ?n)?/g) ?? []))]
      .map((code) => code.replaceAll(' ', ''))
      .sort();
  const [others] = /^Other commands: .*$/m.exec(text) ?? [];
  assert.ok(others, 'the other commands have exit codes, too');
  assert.deepEqual(
    numbers([...firstColumn(text), others]),
    numbers(exitCodeTable.map(([code]) => code)),
  );
});

test('the table of settings names every key of the config, by parts or as a whole', () => {
  const keys = firstColumn(section('Configuration')).flatMap(codeIn);
  const shapeAt = (key: string): Shape | undefined =>
    key
      .split('.')
      .reduce<Shape | undefined>(
        (shape, part) => (shape?.kind === 'object' ? shape.keys[part] : undefined),
        configShape,
      );
  for (const key of keys) assert.ok(shapeAt(key), `there is no key ${key}`);
  for (const [key, shape] of Object.entries<Shape>(configShape.keys)) {
    if (key === '$schema' || keys.includes(key)) continue;
    assert.equal(shape.kind, 'object', `${key} is missing`);
    for (const part of Object.keys(shape.kind === 'object' ? shape.keys : {}))
      assert.ok(keys.includes(`${key}.${part}`), `${key}.${part} is missing`);
  }
});

test('what it says about failures is what the program says', () => {
  const sources = readdirSync(path.join(ROOT, 'src'), { recursive: true })
    .map(String)
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readFileSync(path.join(ROOT, 'src', name), 'utf8'))
    .join('\n');
  const messages = firstColumn(section('When it fails')).flatMap(codeIn);
  assert.ok(messages.length > 3);
  for (const message of messages)
    for (const part of message.split('…').map((each) => each.trim()))
      assert.ok(sources.includes(part), `nothing says: ${part}`);
});
