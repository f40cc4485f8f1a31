import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isRmtxError } from '../../../src/errors.js';
import { parseCommandLine } from '../../../src/cli/arguments.js';
import type { Invocation } from '../../../src/cli/arguments.js';
import { anyText } from '../../support/any-text.js';

function refusal(...argv: string[]): { code: string; message: string; hint: string | undefined } {
  try {
    parseCommandLine(argv);
  } catch (error) {
    if (!isRmtxError(error)) throw error;
    assert.equal(error.family, 'usage');
    return { code: error.code, message: error.message, hint: error.hint };
  }
  return assert.fail(`${argv.join(' ')} was accepted`);
}

const parse = (...argv: string[]): Invocation => parseCommandLine(argv);

test('a nested command is found by its words, and a group alone means its usual command', () => {
  const names = (...argv: string[]): string => parse(...argv).command.name;
  assert.equal(names('host'), 'host');
  assert.equal(names('host', '--listen', ':0'), 'host');
  assert.equal(names('host', 'pair-code'), 'host pair-code');
  assert.equal(names('host', 'clients'), 'host clients list');
  assert.equal(names('host', 'clients', '--json'), 'host clients list');
  assert.equal(names('host', 'clients', 'revoke', 'laptop'), 'host clients revoke');
  assert.equal(names('hosts'), 'hosts list');
  assert.equal(names('context', '--json'), 'context list');
  assert.equal(names('context', 'delete', '--current'), 'context delete');
  assert.equal(names('--version'), 'version');
  assert.equal(names('-V'), 'version');
  assert.equal(names('-v'), 'version');
});

test('an empty argument names nothing; to a command that is run it is one like any other', () => {
  for (const argv of [
    ['cancel', ''],
    ['pull', 'a', ''],
    ['host', 'clients', 'rename', 'a', ''],
  ])
    assert.deepEqual(refusal(...argv).message, 'an argument is empty');
  assert.deepEqual(parse('exec', '--', 'printf', '').operands, ['printf', '']);
});

test('an unknown command fails and names the closest', () => {
  assert.deepEqual(refusal('hsot'), {
    code: 'ERR_RMTX_UNKNOWN_COMMAND',
    message: 'unknown command rmtx hsot',
    hint: 'did you mean rmtx host?',
  });
  assert.equal(refusal('context', 'lst').hint, 'did you mean rmtx context list?');
  assert.equal(
    refusal('host', 'clients', 'revok', 'x').hint,
    'did you mean rmtx host clients revoke?',
  );
  assert.equal(
    refusal('host', 'what').hint,
    'one of: pair-code, clients, status, install, uninstall, logs',
  );
  assert.match(refusal('make', '-j').hint ?? '', /rmtx exec -- CMD/);
  assert.equal(refusal('cache').code, 'ERR_RMTX_MISSING_COMMAND');
  assert.equal(refusal('\u001b[31mx').message, 'unknown command rmtx \\x1b[31mx');
});

test('an unknown flag fails and names the closest', () => {
  assert.deepEqual(refusal('exec', '--timeot', '3s', '--', 'x'), {
    code: 'ERR_RMTX_BAD_FLAG',
    message: 'rmtx exec has no flag --timeot',
    hint: 'did you mean --timeout?',
  });
  assert.equal(refusal('exec', '-z', 'x').message, 'rmtx exec has no flag -z');
  assert.equal(refusal('exec', '-qz', 'x').message, 'rmtx exec has no flag -z');
  assert.equal(refusal('--host', 'a', 'exec', 'x').code, 'ERR_RMTX_BAD_FLAG');
});

test('flags of later versions are unknown, not ignored', () => {
  for (const flag of ['--keep-workspace=1h', '-L'])
    assert.equal(refusal('exec', flag, '--', 'x').code, 'ERR_RMTX_BAD_FLAG', flag);
  assert.doesNotMatch(refusal('exec', '--keep-workspace', 'x').hint ?? '', /did you mean/);
});

test('values come after a blank or an equals sign, exactly as typed', () => {
  const { flags } = parse('pair', '--host=a:1', '--code', '01234567', '--label', 'it is = mine');
  assert.equal(flags.text('host'), 'a:1');
  assert.equal(flags.text('code'), '01234567');
  assert.equal(flags.text('label'), 'it is = mine');
  assert.equal(parse('pair', '--code', '-').flags.text('code'), '-');
  assert.equal(parse('pair', '--label=-x').flags.text('label'), '-x');
});

test('a missing, a surplus and a malformed value are refused', () => {
  assert.equal(refusal('pair', '--host').message, '--host needs a value');
  assert.equal(refusal('pair', '--host=').message, '--host needs a value');
  assert.equal(refusal('pair', '--host', '--json').message, '--host needs a value');
  assert.equal(refusal('ping', '--json=yes').message, '--json takes no value');
  assert.deepEqual(refusal('exec', '--timeout', '5', '--', 'x'), {
    code: 'ERR_RMTX_BAD_FLAG',
    message: '--timeout 5 is not a time',
    hint: 'write 90s, 15m, 2h or 7d',
  });
  assert.equal(parse('exec', '--timeout', '90s', 'x').flags.durationMs('timeout'), 90_000);
});

test('a list flag keeps every value, another one the last', () => {
  const { flags } = parse('exec', '--env', 'A=1', '--env=B', '--host', 'a', '--host', 'b', 'x');
  assert.deepEqual(flags.list('env'), ['A=1', 'B']);
  assert.equal(flags.text('host'), 'b');
});

test('short flags can be joined', () => {
  const { flags, operands } = parse('exec', '-nq', 'ls', '-la');
  assert.ok(flags.has('no-stdin') && flags.has('quiet') && !flags.has('verbose'));
  assert.deepEqual(operands, ['ls', '-la']);
});

test('the command of exec starts at -- or at the first word that is no flag', () => {
  const command = (...argv: string[]): readonly string[] => parse('exec', ...argv).operands;
  assert.deepEqual(command('make', '-j'), ['make', '-j']);
  assert.deepEqual(command('--', 'make', '-j'), ['make', '-j']);
  assert.deepEqual(command('-q', '--host', 'h', 'make', '--json', '--', 'x'), [
    'make',
    '--json',
    '--',
    'x',
  ]);
  assert.deepEqual(command('--', '--weird'), ['--weird']);
  assert.deepEqual(command('--', '--', 'x'), ['--', 'x']);
  assert.deepEqual(command('-', 'x'), ['-', 'x']);
  assert.deepEqual(command('--', '', ' a  b '), ['', ' a  b ']);
  assert.equal(parse('exec', 'make', '--json').flags.has('json'), false);
});

test('any argv after -- reaches the command unchanged', () => {
  fc.assert(
    fc.property(fc.array(anyText(), { minLength: 1 }), (argv) => {
      assert.deepEqual(parse('exec', '-q', '--', ...argv).operands, argv);
    }),
  );
});

test('no argv makes the parser fail in another way than by a usage error', () => {
  const word = fc.oneof(
    fc.constantFrom('exec', 'host', 'context', 'list', '--', '--host', '--json', '-n', '-vq', '='),
    fc.string(),
  );
  fc.assert(
    fc.property(fc.array(word), (argv) => {
      try {
        parseCommandLine(argv);
      } catch (error) {
        if (!isRmtxError(error) || error.family !== 'usage') throw error;
      }
    }),
  );
});

test('too few and too many operands are refused with the usage', () => {
  assert.deepEqual(refusal('exec'), {
    code: 'ERR_RMTX_MISSING_COMMAND',
    message: 'no command to run',
    hint: 'usage: rmtx exec [--] CMD [ARG…]',
  });
  assert.equal(refusal('exec', '--').message, 'no command to run');
  assert.equal(refusal('hosts', 'forget').hint, 'usage: rmtx hosts forget HOST');
  assert.equal(refusal('ping', 'now').message, 'now is one argument too many');
  assert.equal(refusal('host', 'clients', 'rename', 'a', 'b', 'c').code, 'ERR_RMTX_BAD_ARGUMENT');
});

test('--help anywhere among the flags asks for help on that command or group', () => {
  const topic = (...argv: string[]): readonly string[] => {
    const { command, operands } = parse(...argv);
    assert.equal(command.name, 'help');
    return operands;
  };
  assert.deepEqual(topic('exec', '--help'), ['exec']);
  assert.deepEqual(topic('exec', '-q', '-h'), ['exec']);
  assert.deepEqual(topic('host', 'clients', 'rename', '--help'), ['host', 'clients', 'rename']);
  assert.deepEqual(topic('context', '--help'), ['context']);
  assert.deepEqual(topic('host', '--help'), ['host']);
  assert.deepEqual(topic('--help'), []);
  assert.deepEqual(topic('help', 'exec'), ['exec']);
  assert.deepEqual(parse('exec', 'make', '--help').operands, ['make', '--help']);
});

test('rmtx alone is told from rmtx help', () => {
  assert.equal(parse().isBare, true);
  assert.equal(parse('help').isBare, false);
  assert.equal(parse('--help').isBare, false);
});

test('asking a command for a flag that it does not have is a bug', () => {
  assert.throws(
    () => parse('ping').flags.text('timeout'),
    /^Error: Internal error: rmtx ping has no flag/,
  );
});
