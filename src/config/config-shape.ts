/** Every key of `.rmtx.json` and `.rmtx.local.json`. A test holds `rmtx.schema.json` to the same keys. */
import { forwardComplaint } from './env-forward.js';
import { keepOnHostComplaint, patternComplaint, syncBackComplaint } from './patterns.js';
import type { Shape, StringShape } from './shape.js';
import {
  contextInputComplaint,
  contextNameComplaint,
  fingerprintComplaint,
  hostComplaint,
  imageComplaint,
  nonEmptyComplaint,
  runtimePathComplaint,
  serviceComplaint,
  timeoutComplaint,
  volumeNameComplaint,
} from './value-checks.js';

/** The only version there is. */
const CONFIG_VERSION = 1;

const text = (complaint?: (value: string) => string | undefined): StringShape =>
  complaint === undefined ? { kind: 'string' } : { kind: 'string', complaint };

interface ListShape<S> {
  readonly kind: 'array';
  readonly items: S;
}

const list = <S extends Shape>(items: S): ListShape<S> => ({ kind: 'array', items });

const flag = { kind: 'boolean' } as const;

const common = {
  $schema: text(),
  version: { kind: 'version', value: CONFIG_VERSION },
  host: text(hostComplaint),
  tls: { kind: 'object', keys: { host_fingerprint: text(fingerprintComplaint) } },
  env: { kind: 'object', keys: { forward: list(text(forwardComplaint)) } },
} as const satisfies Record<string, Shape>;

const runtime = {
  kind: 'object',
  required: ['type', 'image'],
  keys: {
    type: { kind: 'enum', values: ['oci'] },
    image: text(imageComplaint),
    pull_policy: { kind: 'enum', values: ['if_missing', 'always', 'never'] },
    workdir: text(runtimePathComplaint),
    network: { kind: 'enum', values: ['host', 'none'] },
    user: { kind: 'enum', values: ['root'] },
    gpu: { kind: 'enum', values: ['none', 'nvidia'] },
    wsl_distro: text(nonEmptyComplaint),
    setup: {
      kind: 'object',
      keys: {
        image_commands: list(text(nonEmptyComplaint)),
        context_commands: list(text(nonEmptyComplaint)),
        context_inputs: list(text(contextInputComplaint)),
      },
    },
    volumes: list({
      kind: 'object',
      required: ['name', 'target'],
      keys: { name: text(volumeNameComplaint), target: text(runtimePathComplaint) },
    } as const),
  },
} as const satisfies Shape;

/** `.rmtx.json`: what a project shares. */
export const configShape = {
  kind: 'object',
  keys: {
    ...common,
    context: { kind: 'object', keys: { name: text(contextNameComplaint) } },
    discovery: {
      kind: 'object',
      keys: { enabled: flag, service: text(serviceComplaint), timeout: text(timeoutComplaint) },
    },
    mounts: list({
      kind: 'object',
      keys: { path: text(nonEmptyComplaint), exclude: list(text(patternComplaint)) },
    } as const),
    ignore: list(text(patternComplaint)),
    ignore_gitignore: flag,
    sync_back: { kind: 'nullable', of: list(text(syncBackComplaint)) },
    keep_on_host: list(text(keepOnHostComplaint)),
    runtime,
  },
} as const satisfies Shape;

/** `.rmtx.local.json`: what one person overrides. */
export const localShape = {
  kind: 'object',
  keys: common,
  hintFor: (key) =>
    Object.hasOwn(configShape.keys, key)
      ? `"${key}" belongs into the project's .rmtx.json; here are only host, tls and env`
      : undefined,
} as const satisfies Shape;
