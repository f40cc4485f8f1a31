/** What `rmtx init` knows about kinds of projects: which files tell them, and which folders stay put. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { GITIGNORED } from './patterns.js';

interface Preset {
  readonly name: string;
  readonly marker: string;
  /** Installed or built, by names that mean nothing else: neither sent nor brought back, kept on the host. */
  readonly generated: readonly string[];
  /** The same, by names that may also be a source folder: only used where no .gitignore can tell. */
  readonly generatedUnlessTracked: readonly string[];
}

const PRESETS: readonly Preset[] = [
  preset('Node.js', 'package.json', ['**/node_modules/']),
  preset('Rust', 'Cargo.toml', ['target/']),
  preset('Python', 'pyproject.toml', [
    // Holds the absolute path of the machine that made it.
    '.venv/',
    '.tox/',
    '**/__pycache__/',
    '.pytest_cache/',
    '.mypy_cache/',
    '.ruff_cache/',
  ]),
  // Go builds into a cache of the user's home; the project folder holds nothing that must stay.
  preset('Go', 'go.mod', []),
  // CMake stores absolute paths in its build folder: one made elsewhere cannot be used.
  preset('CMake', 'CMakeLists.txt', ['cmake-build-*/'], ['build/']),
  preset('Make', 'Makefile', [], ['**/*.o']),
];

/** Never wanted on another machine. Written into each new config, so that people see and can change it. */
const SECRETS: readonly string[] = [
  '**/.env',
  '**/.env.local',
  '**/.env.*.local',
  '**/.netrc',
  '**/.ssh/**',
  '**/.aws/**',
  '**/*.pem',
  '**/*.p12',
  '**/*.pfx',
  '**/id_rsa*',
  '**/id_ecdsa*',
  '**/id_ed25519*',
];

export interface Recognized {
  /** Names of the kinds of project, for people. */
  readonly kinds: readonly string[];
  readonly ignore: readonly string[];
  readonly keepOnHost: readonly string[];
}

/** Looks at the top folder of a project. */
export function recognizeProject(root: string): Recognized {
  const has = (name: string): boolean => existsSync(path.join(root, name));
  const hasGitignore = has('.gitignore');
  const presets = PRESETS.filter(({ marker }) => has(marker));
  const generated = presets.flatMap((each) => [
    ...each.generated,
    ...(hasGitignore ? [] : each.generatedUnlessTracked),
  ]);
  return {
    kinds: presets.map(({ name }) => name),
    ignore: ['.git/**', ...SECRETS, ...generated.map((each) => each.replace(/\/$/, '/**'))],
    keepOnHost: [...(hasGitignore ? [GITIGNORED] : []), ...generated],
  };
}

function preset(
  name: string,
  marker: string,
  ...[generated, generatedUnlessTracked = []]: [readonly string[], (readonly string[])?]
): Preset {
  return { name, marker, generated, generatedUnlessTracked };
}
