/**
 * From argv to a command of the table, its flags and its operands. Every mistake is a usage error that
 * names what was typed and, where one is near, what was probably meant.
 */
import { parseArgs } from 'node:util';
import { RmtxError } from '../errors.js';
import { closest } from '../util/closest.js';
import { printable } from '../util/printable.js';
import { LONGEST_WAIT_MS, formatDuration, parseDuration } from '../util/units.js';
import { commandGroups, findCommand, nextWords } from './command-table.js';
import type { CommandSpec, FlagSpec } from './command-table.js';

/** What one call of rmtx asks for. */
export interface Invocation {
  readonly command: CommandSpec;
  readonly flags: FlagValues;
  /** What follows the flags; for `exec` the command's argv, exactly. */
  readonly operands: readonly string[];
  /** True for `rmtx` with nothing after it. */
  readonly isBare: boolean;
}

/** Throws a usage error; touches nothing but its argument. */
export function parseCommandLine(argv: readonly string[]): Invocation {
  const [first] = argv;
  if (first === undefined || first === '-h' || first === '--help')
    return invocationOf('help', { isBare: first === undefined });
  const asksVersion = ['--version', '-V'].includes(first) || (first === '-v' && argv.length === 1);
  if (asksVersion) return invocationOf('version', {});
  if (first.startsWith('-'))
    throw new RmtxError('ERR_RMTX_BAD_FLAG', `${printable(first)} stands before a command`, {
      hint: 'flags follow the command: rmtx exec [flags] -- CMD',
    });
  const topic = groupAskedAbout(argv);
  if (topic !== undefined) return invocationOf('help', { operands: topic });
  const { command, rest } = findCommandIn(argv);
  const { flags, operands } = readArguments(command, rest);
  if (flags.has('help')) return invocationOf('help', { operands: command.name.split(' ') });
  refuseWrongOperands(command, operands);
  return { command, flags, operands, isBare: false };
}

/** The values given to one command's flags. Asking for a flag that the command does not have is a bug. */
export class FlagValues {
  readonly #command: CommandSpec;
  readonly #values: ReadonlyMap<string, readonly string[]>;

  constructor(command: CommandSpec, values: ReadonlyMap<string, readonly string[]>) {
    this.#command = command;
    this.#values = values;
  }

  /** Whether the flag was given. A switch that the command does not have is off. */
  has(name: string): boolean {
    return this.#values.has(name);
  }

  /** The last value given. */
  text(name: string): string | undefined {
    return this.list(name).at(-1);
  }

  /** Every value given, in order. */
  list(name: string): readonly string[] {
    if (!this.#command.flags.some((flag) => flag.name === name))
      throw new Error(`Internal error: rmtx ${this.#command.name} has no flag --${name}`);
    return this.#values.get(name) ?? [];
  }

  durationMs(name: string): number | undefined {
    const text = this.text(name);
    return text === undefined ? undefined : parseDuration(text);
  }
}

interface FakedInvocation {
  readonly operands?: readonly string[];
  readonly isBare?: boolean;
}

function invocationOf(name: string, given: FakedInvocation): Invocation {
  const command = findCommand(name);
  if (command === undefined) throw new Error(`Internal error: no command ${name}`);
  return {
    command,
    flags: new FlagValues(command, new Map()),
    operands: given.operands ?? [],
    isBare: given.isBare ?? false,
  };
}

/** The words of `rmtx context --help`: help for the group, not for the command it means alone. */
function groupAskedAbout(argv: readonly string[]): readonly string[] | undefined {
  const flagAt = argv.findIndex((word) => word.startsWith('-'));
  if (argv[flagAt] !== '--help' && argv[flagAt] !== '-h') return undefined;
  const words = argv.slice(0, flagAt);
  return Object.hasOwn(commandGroups, words.join(' ')) ? words : undefined;
}

/** The longest run of leading words that names a command; a group alone means its usual command. */
function findCommandIn(argv: readonly string[]): { command: CommandSpec; rest: readonly string[] } {
  const flagAt = argv.findIndex((word) => word.startsWith('-'));
  const words = argv.slice(0, flagAt < 0 ? 3 : Math.min(3, flagAt));
  for (let count = words.length; count > 0; count--) {
    const name = words.slice(0, count).join(' ');
    const next = words[count];
    const command = findCommand(name);
    const group = Object.hasOwn(commandGroups, name) ? commandGroups[name] : undefined;
    if (group !== undefined && next !== undefined) throw unknownCommand(name, next);
    if (command !== undefined) return { command, rest: argv.slice(count) };
    if (group === undefined) continue;
    const usual = group.alone === undefined ? undefined : findCommand(group.alone);
    if (usual !== undefined) return { command: usual, rest: argv.slice(count) };
    throw new RmtxError('ERR_RMTX_MISSING_COMMAND', `rmtx ${name} needs another word`, {
      hint: `one of: ${nextWords(name).join(', ')}`,
    });
  }
  throw unknownCommand('', words[0] ?? '');
}

function unknownCommand(group: string, word: string): RmtxError {
  const prefix = group === '' ? '' : `${group} `;
  const words = nextWords(group);
  const near = closest(word, words);
  // Whoever forgot `exec --` typed a program's name, and `make` is not a slip for `wake`.
  const isChance = group === '' && near?.[0] !== word[0];
  const meant = isChance ? undefined : near;
  const alternatives =
    group === ''
      ? `rmtx help lists the commands; to run a program on the host: rmtx exec -- CMD`
      : `one of: ${words.join(', ')}`;
  return new RmtxError(
    'ERR_RMTX_UNKNOWN_COMMAND',
    `unknown command rmtx ${prefix}${printable(word)}`,
    {
      hint: meant === undefined ? alternatives : `did you mean rmtx ${prefix}${meant}?`,
    },
  );
}

interface ReadArguments {
  readonly flags: FlagValues;
  readonly operands: readonly string[];
}

function readArguments(command: CommandSpec, rest: readonly string[]): ReadArguments {
  const { tokens } = parseArgs({
    args: [...rest],
    options: Object.fromEntries(command.flags.map((flag) => [flag.name, optionOf(flag)])),
    // Its own refusals name neither the nearest flag nor our way out, so they are made here.
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const values = new Map<string, string[]>();
  const operands: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'option') {
      const flag = command.flags.find((candidate) => candidate.name === token.name);
      if (flag === undefined) throw unknownFlag(command, token.rawName);
      const value = flagValue(flag, token);
      values.set(flag.name, [...(values.get(flag.name) ?? []), value]);
      continue;
    }
    // Everything after `--`, and all of a wrapped command from its first word, is the user's own.
    const isSeparator = token.kind === 'option-terminator';
    if (isSeparator || command.isWrapper === true) {
      operands.push(...rest.slice(token.index + (isSeparator ? 1 : 0)));
      break;
    }
    operands.push(token.value);
  }
  return { flags: new FlagValues(command, values), operands };
}

function optionOf(flag: FlagSpec): { type: 'string' | 'boolean'; short?: string } {
  const type = flag.value === undefined ? 'boolean' : 'string';
  return flag.short === undefined ? { type } : { type, short: flag.short };
}

interface OptionToken {
  readonly rawName: string;
  readonly value?: string | undefined;
  readonly inlineValue?: boolean | undefined;
}

/** The value as text, `''` for a switch; refuses a missing, a surplus and a malformed one. */
function flagValue(flag: FlagSpec, token: OptionToken): string {
  const name = token.rawName;
  if (flag.value === undefined) {
    if (token.value === undefined) return '';
    throw new RmtxError('ERR_RMTX_BAD_FLAG', `${name} takes no value`);
  }
  // A value that looks like a flag is far more often a forgotten value; `=` says it is meant.
  const looksLikeFlag = token.inlineValue !== true && /^-./.test(token.value ?? '');
  if (token.value === undefined || token.value === '' || looksLikeFlag)
    throw new RmtxError('ERR_RMTX_BAD_FLAG', `${name} needs a value`, {
      hint: `${name}=${flag.value}`,
    });
  if (flag.kind !== undefined) checkTime(flag.kind, name, token.value);
  return token.value;
}

function checkTime(kind: 'duration' | 'age', name: string, value: string): void {
  const milliseconds = parseDuration(value);
  if (milliseconds === undefined)
    throw new RmtxError('ERR_RMTX_BAD_FLAG', `${name} ${printable(value)} is not a time`, {
      hint: 'write 90s, 15m, 2h or 7d',
    });
  if (kind === 'duration' && milliseconds > LONGEST_WAIT_MS)
    throw new RmtxError('ERR_RMTX_BAD_FLAG', `${name} ${printable(value)} is too long`, {
      hint: `at the most ${formatDuration(LONGEST_WAIT_MS)}`,
    });
}

function unknownFlag(command: CommandSpec, rawName: string): RmtxError {
  const name = rawName.replace(/^-+/, '');
  const names = command.flags.map((flag) => flag.name);
  const meant = rawName.startsWith('--') ? closest(name, names) : undefined;
  return new RmtxError(
    'ERR_RMTX_BAD_FLAG',
    `rmtx ${command.name} has no flag ${printable(rawName)}`,
    {
      hint:
        meant === undefined
          ? `rmtx help ${command.name} lists the flags`
          : `did you mean --${meant}?`,
    },
  );
}

function refuseWrongOperands(command: CommandSpec, operands: readonly string[]): void {
  const usage = `rmtx ${command.name}${command.operands === '' ? '' : ` ${command.operands}`}`;
  if (operands.length < command.minOperands)
    throw new RmtxError(
      'ERR_RMTX_MISSING_COMMAND',
      command.isWrapper === true ? 'no command to run' : `rmtx ${command.name} needs more`,
      { hint: `usage: ${usage}` },
    );
  const surplus = operands[command.maxOperands];
  if (surplus !== undefined)
    throw new RmtxError('ERR_RMTX_BAD_ARGUMENT', `${printable(surplus)} is one argument too many`, {
      hint: `usage: ${usage}`,
    });
  // As a name it would fit everything, or the only one there is; it comes from a variable that is not set.
  if (command.isWrapper !== true && operands.includes(''))
    throw new RmtxError('ERR_RMTX_BAD_ARGUMENT', 'an argument is empty', {
      hint: `usage: ${usage}`,
    });
}
