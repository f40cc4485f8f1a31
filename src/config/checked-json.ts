/**
 * Strict reading of JSON with comments and trailing commas: what a shape does not name is an error that
 * says file, line and key. Nothing here knows what the keys mean.
 */
import { parseTree, printParseErrorCode } from 'jsonc-parser';
import type { JSONPath, Node, ParseError } from 'jsonc-parser';
import { closest } from '../util/closest.js';
import { assertNever } from '../util/never.js';
import { ConfigText, keyName, quoted } from './config-text.js';
import type { ObjectShape, Shape, ValueOf } from './shape.js';

export interface CheckedJson<S extends Shape> {
  readonly value: ValueOf<S>;
  readonly source: ConfigText;
  /** Dotted key of each value that is no object → its line. */
  readonly lines: ReadonlyMap<string, number>;
}

interface Walk {
  readonly source: ConfigText;
  readonly lines: Map<string, number>;
}

/**
 * Checks `text` against `shape`. Throws ERR_RMTX_CONFIG_INVALID for the first thing wrong, top down:
 * syntax, then each unknown or repeated key, wrong type or bad value in the order of the text.
 */
export function parseCheckedJson<const S extends ObjectShape>(
  file: string,
  text: string,
  shape: S,
): CheckedJson<S> {
  const source = new ConfigText(file, text);
  const root = parseSyntax(source);
  source.root = root;
  const walk: Walk = { source, lines: new Map() };
  if (root.type !== 'object')
    throw source.errorAt(root.offset, `the file must hold one object, not ${typeName(root)}`);
  const value = check(walk, { node: root, shape, path: [] });
  return { value: value as ValueOf<S>, source, lines: walk.lines };
}

const SYNTAX_MESSAGES: Readonly<Record<string, string>> = {
  InvalidSymbol: 'a word that is neither quoted nor true, false or null',
  InvalidNumberFormat: 'a number that is not well formed',
  PropertyNameExpected: 'a key in double quotes is expected here',
  ValueExpected: 'a value is expected here',
  ColonExpected: 'a ":" is missing before this',
  CommaExpected: 'a "," is missing before this',
  CloseBraceExpected: 'a "}" is missing',
  CloseBracketExpected: 'a "]" is missing',
  EndOfFileExpected: 'something follows after the end of the object',
  UnexpectedEndOfComment: 'a comment is not closed',
  UnexpectedEndOfString: 'a string is not closed on its line',
  UnexpectedEndOfNumber: 'a number that is not well formed',
  InvalidUnicode: 'a \\u escape that is not well formed',
  InvalidEscapeCharacter: 'an unknown escape after "\\"',
  InvalidCharacter: 'a control character inside a string',
};

function parseSyntax(source: ConfigText): Node {
  const errors: ParseError[] = [];
  let root: Node | undefined;
  try {
    root = parseTree(source.text, errors, { allowTrailingComma: true });
  } catch (error) {
    // The parser goes down one call a bracket: thousands of them exhaust the stack.
    if (error instanceof RangeError) throw source.errorAt(0, 'nested too deeply');
    throw error;
  }
  const first = errors.sort((a, b) => a.offset - b.offset)[0];
  if (first !== undefined) {
    const name = printParseErrorCode(first.error);
    throw source.errorAt(first.offset, `not valid JSON: ${SYNTAX_MESSAGES[name] ?? name}`);
  }
  if (root === undefined) throw source.errorAt(0, 'the file is empty');
  return root;
}

interface Place<S extends Shape = Shape> {
  readonly node: Node;
  readonly shape: S;
  readonly path: JSONPath;
}

function check(walk: Walk, place: Place): unknown {
  const { node, shape, path } = place;
  if (shape.kind === 'object') return checkObject(walk, { node, shape, path });
  // Items of a list have no line of their own: the list is one value.
  if (!path.some((part) => typeof part === 'number'))
    walk.lines.set(keyName(path), walk.source.lineAt(node.offset));
  switch (shape.kind) {
    case 'nullable':
      return node.type === 'null' ? null : check(walk, { node, shape: shape.of, path });
    case 'array':
      expectType(walk, place, 'array');
      return (node.children ?? []).map((item, index) =>
        check(walk, { node: item, shape: shape.items, path: [...path, index] }),
      );
    case 'string': {
      const value = readString(walk, place);
      const complaint = shape.complaint?.(value);
      if (complaint !== undefined)
        throw fail(walk, place, value.trim() === '' ? complaint : `${quoted(value)} ${complaint}`);
      return value;
    }
    case 'enum': {
      const value = readString(walk, place);
      // The seed takes these words in any case.
      const found = shape.values.find((candidate) => candidate === value.toLowerCase());
      if (found === undefined)
        throw fail(walk, place, `${quoted(value)} is none of ${shape.values.join(', ')}`);
      return found;
    }
    case 'boolean':
      expectType(walk, place, 'boolean');
      return node.value;
    case 'version':
      expectType(walk, place, 'number');
      if (node.value !== shape.value)
        throw fail(
          walk,
          place,
          `${String(node.value)} is not known; this rmtx reads ${shape.value}`,
        );
      return shape.value;
    default:
      return assertNever(shape);
  }
}

function checkObject(walk: Walk, place: Place<ObjectShape>): Record<string, unknown> {
  const { shape, path } = place;
  expectType(walk, place, 'object');
  const seen = new Map<string, number>();
  const result: Record<string, unknown> = {};
  for (const property of place.node.children ?? []) {
    const [key, value] = property.children ?? [];
    // The syntax check has refused a property without key or value.
    if (key === undefined || value === undefined)
      throw new Error('Internal error: half a property');
    const name = String(key.value);
    const where = [...path, name];
    const known = Object.hasOwn(shape.keys, name) ? shape.keys[name] : undefined;
    if (known === undefined) throw unknownKey(walk, key, { where, shape });
    const before = seen.get(name);
    if (before !== undefined)
      throw walk.source.errorAt(
        key.offset,
        `${keyName(where)}: is there twice (first on line ${walk.source.lineAt(before)})`,
      );
    seen.set(name, key.offset);
    result[name] = check(walk, { node: value, shape: known, path: where });
  }
  const missing = shape.required?.find((name) => !seen.has(name));
  if (missing !== undefined)
    throw walk.source.errorAt(place.node.offset, `${keyName([...path, missing])}: is missing`);
  return result;
}

function unknownKey(
  walk: Walk,
  key: Node,
  { where, shape }: { where: JSONPath; shape: ObjectShape },
): Error {
  const known = Object.keys(shape.keys);
  const near = closest(String(key.value), known);
  const hint =
    shape.hintFor?.(String(key.value)) ??
    (near === undefined
      ? `the keys known here are ${known.join(', ')}`
      : `did you mean "${near}"?`);
  return walk.source.errorAt(key.offset, `${keyName(where)}: unknown key`, { hint });
}

function readString(walk: Walk, place: Place): string {
  expectType(walk, place, 'string');
  return String(place.node.value);
}

function expectType(walk: Walk, place: Place, type: Node['type']): void {
  if (place.node.type !== type)
    throw fail(walk, place, `must be ${TYPE_NAMES[type]}, not ${typeName(place.node)}`);
}

function fail(walk: Walk, place: Place, what: string): Error {
  return walk.source.errorAt(place.node.offset, `${keyName(place.path)}: ${what}`);
}

const TYPE_NAMES: Readonly<Record<Node['type'], string>> = {
  object: 'an object',
  array: 'a list',
  string: 'a string',
  number: 'a number',
  boolean: 'true or false',
  null: 'null',
  property: 'a property',
};

function typeName(node: Node): string {
  return node.type === 'boolean' ? String(node.value) : TYPE_NAMES[node.type];
}
