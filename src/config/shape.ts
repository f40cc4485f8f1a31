/**
 * What a JSON value may look like, as data: one description from which the checker
 * (`checked-json.ts`), the TypeScript type of the result and the test of `rmtx.schema.json` come.
 */

export interface StringShape {
  readonly kind: 'string';
  /** What is wrong with the value, or undefined. */
  readonly complaint?: (value: string) => string | undefined;
}

export interface EnumShape {
  readonly kind: 'enum';
  readonly values: readonly string[];
}

export interface BooleanShape {
  readonly kind: 'boolean';
}

/** The one number that a config holds. */
export interface VersionShape {
  readonly kind: 'version';
  readonly value: number;
}

export interface ArrayShape {
  readonly kind: 'array';
  readonly items: Shape;
}

/** `null` says the same as leaving the key out. */
export interface NullableShape {
  readonly kind: 'nullable';
  readonly of: Shape;
}

export interface ObjectShape {
  readonly kind: 'object';
  readonly keys: Readonly<Record<string, Shape>>;
  readonly required?: readonly string[];
  /** The hint for a key that is not known here, where there is a better one than the closest key. */
  readonly hintFor?: (key: string) => string | undefined;
}

export type Shape =
  StringShape | EnumShape | BooleanShape | VersionShape | ArrayShape | NullableShape | ObjectShape;

/** The type of a checked value. Also a key that its object requires reads as one that may be absent. */
export type ValueOf<S> = S extends { readonly kind: 'string' }
  ? string
  : S extends { readonly kind: 'enum'; readonly values: readonly (infer V)[] }
    ? V
    : S extends { readonly kind: 'boolean' }
      ? boolean
      : S extends { readonly kind: 'version' }
        ? number
        : S extends { readonly kind: 'array'; readonly items: infer I }
          ? readonly ValueOf<I>[]
          : S extends { readonly kind: 'nullable'; readonly of: infer I }
            ? ValueOf<I> | null
            : S extends { readonly kind: 'object'; readonly keys: infer K }
              ? { readonly [P in keyof K]?: ValueOf<K[P]> }
              : never;
