import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { configShape } from '../../../src/config/config-shape.js';
import type { Shape } from '../../../src/config/shape.js';
import { repository } from './project.js';

interface Schema {
  readonly $schema?: string;
  readonly $ref?: string;
  readonly allOf?: readonly Schema[];
  readonly anyOf?: readonly Schema[];
  readonly description?: string;
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly string[];
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly definitions?: Readonly<Record<string, Schema>>;
}

const schema = JSON.parse(
  readFileSync(path.join(repository, 'rmtx.schema.json'), 'utf8'),
) as Schema;

/** The schema with references and single wrappers followed. */
function follow(part: Schema): Schema {
  if (part.$ref !== undefined)
    return follow(schema.definitions?.[part.$ref.replace('#/definitions/', '')] ?? {});
  const wrapped = part.allOf?.[0] ?? part.anyOf?.at(-1);
  return wrapped === undefined ? part : follow(wrapped);
}

function compare(part: Schema, shape: Shape, where: string): void {
  const resolved = follow(part);
  const type = [resolved.type].flat();
  switch (shape.kind) {
    case 'object':
      assert.deepEqual(type, ['object'], where);
      assert.equal(resolved.additionalProperties, false, `${where} must be closed`);
      assert.deepEqual(resolved.required ?? [], shape.required ?? [], where);
      assert.deepEqual(
        Object.keys(resolved.properties ?? {}).sort(),
        Object.keys(shape.keys).sort(),
        where,
      );
      for (const [key, below] of Object.entries(shape.keys)) {
        const property = resolved.properties?.[key] ?? {};
        assert.ok((property.description ?? '').length > 5, `${where}.${key} has no description`);
        compare(property, below, `${where}.${key}`);
      }
      break;
    case 'array':
      assert.ok(type.includes('array'), where);
      compare(resolved.items ?? {}, shape.items, `${where}[]`);
      break;
    case 'nullable':
      assert.ok(type.includes('null'), where);
      compare(part, shape.of, where);
      break;
    case 'enum':
      assert.deepEqual(resolved.enum, shape.values, where);
      break;
    case 'version':
      assert.equal(resolved.const, shape.value, where);
      break;
    case 'string':
    case 'boolean':
      assert.deepEqual(type, [shape.kind], where);
      break;
  }
}

test('the schema has exactly the keys and types that the parser takes, each described', () => {
  assert.equal(schema.$schema, 'http://json-schema.org/draft-07/schema#');
  compare(schema, configShape, 'config');
});
