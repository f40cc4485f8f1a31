// Builds twice from one source: `tsc` emits dist/src and dist/test (what unit tests run), esbuild
// emits dist/bundle (what ships and what end-to-end tests run). One CommonJS file a command: a small
// entry that loads only the command asked for starts in about 28 ms, one eager file in 117 ms.
import { execFileSync } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const at = (...parts) => path.join(root, ...parts);

/** Commands and workers are entries of their own, loaded by path at run time. */
const separateEntries = {
  name: 'separate-entries',
  setup(builder) {
    builder.onResolve({ filter: /^\.\/commands\/[^/]+\.js$/ }, (args) => ({
      path: args.path,
      external: true,
    }));
  },
};

const commands = readdirSync(at('src/cli/commands')).filter((name) => name.endsWith('.ts'));
const workers = ['src/host/workspace-worker.ts', 'src/trust/scrypt-worker.ts'];
const entry = (source, out) => ({ in: at(source), out });

execFileSync(process.execPath, [at('node_modules/typescript/bin/tsc'), '-p', at('tsconfig.json')], {
  stdio: 'inherit',
});
rmSync(at('dist/bundle'), { recursive: true, force: true });
await build({
  entryPoints: [
    entry('src/cli/main.ts', 'main'),
    ...commands.map((name) => entry(`src/cli/commands/${name}`, `commands/${name.slice(0, -3)}`)),
  ],
  outdir: at('dist/bundle'),
  bundle: true,
  platform: 'node',
  target: 'node20.19',
  format: 'cjs',
  external: ['blake3', '@napi-rs/blake-hash'],
  supported: { 'dynamic-import': false },
  legalComments: 'eof',
  plugins: [separateEntries],
  logLevel: 'warning',
});
