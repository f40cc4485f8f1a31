// Builds twice from one source: `tsc` emits dist/src and dist/test (what unit tests run), esbuild
// emits dist/bundle (what ships and what end-to-end tests run). One CommonJS file a command: a small
// entry that loads only the command asked for starts in about 28 ms, one eager file in 117 ms. Whatever
// a command loads later with import() is a file of its own, too: nobody parses it before it is needed.
import { execFileSync } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const at = (...parts) => path.join(root, ...parts);

/**
 * Large packages that most starts never touch (each is required where it is first needed): files of
 * their own, so that nobody parses them for nothing. node-forge alone costs every start 20 ms.
 */
const vendored = ['node-forge', 'micromatch', 'ignore', 'bonjour-service', 'systeminformation'];

/** Commands, their later parts and workers are entries of their own, loaded by path at run time. */
const separateEntries = {
  name: 'separate-entries',
  setup(builder) {
    builder.onResolve({ filter: /^\.\/commands\/[^/]+\.js$/ }, (args) => ({
      path: args.path,
      external: true,
    }));
    builder.onResolve({ filter: /^\.\.?\// }, (args) =>
      args.kind === 'dynamic-import'
        ? { path: `./${path.basename(args.path)}`, external: true }
        : undefined,
    );
    builder.onResolve({ filter: /^[^./]/ }, (args) =>
      vendored.includes(args.path) && args.pluginData !== 'vendor'
        ? { path: `./vendor-${args.path}.js`, external: true }
        : undefined,
    );
    builder.onResolve({ filter: /^vendor:/ }, (args) =>
      builder.resolve(args.path.slice('vendor:'.length), {
        kind: 'require-call',
        resolveDir: root,
        pluginData: 'vendor',
      }),
    );
  },
};

const commands = readdirSync(at('src/cli/commands')).filter((name) => name.endsWith('.ts'));
/** What a command's own file loads with import(). */
const laterParts = [
  'src/cli/arranged-run.ts',
  'src/cli/exec-run.ts',
  'src/cli/finish-interrupted.ts',
  'src/client/dial-back.ts',
  'src/client/forwards.ts',
  'src/discovery/find-hosts.ts',
];
const workers = ['src/host/workspace-worker.ts', 'src/runtime/terminal-keeper.ts'];
const entry = (source, out) => ({ in: at(source), out });

execFileSync(process.execPath, [at('node_modules/typescript/bin/tsc'), '-p', at('tsconfig.json')], {
  stdio: 'inherit',
});
rmSync(at('dist/bundle'), { recursive: true, force: true });
await build({
  entryPoints: [
    entry('src/cli/main.ts', 'main'),
    // Found beside the command that loads it, or by __dirname.
    ...[...laterParts, ...workers].map((source) =>
      entry(source, `commands/${path.basename(source, '.ts')}`),
    ),
    ...vendored.map((name) => ({ in: `vendor:${name}`, out: `commands/vendor-${name}` })),
    ...commands.map((name) => entry(`src/cli/commands/${name}`, `commands/${name.slice(0, -3)}`)),
  ],
  outdir: at('dist/bundle'),
  bundle: true,
  platform: 'node',
  // jsonc-parser's UMD entry cannot be bundled; its ES one can.
  mainFields: ['module', 'main'],
  target: 'node20.19',
  format: 'cjs',
  external: ['blake3', '@napi-rs/blake-hash', '@lydell/node-pty'],
  supported: { 'dynamic-import': false },
  legalComments: 'eof',
  minifyWhitespace: true,
  minifySyntax: true,
  plugins: [separateEntries],
  logLevel: 'warning',
});
