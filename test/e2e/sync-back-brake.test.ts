/** Deletions of nearly everything are held back. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { describe, test } from 'node:test';
import { PairedRig } from '../support/paired-rig.js';
import { manyFiles, text } from '../support/project-files.js';
import { runReported } from '../support/reported-run.js';

const paired = new PairedRig();

describe('the brake on mass deletion', () => {
  test('holds deletions of everything back, says so, and edits still come home', async () => {
    const project = paired.projectWith({ ...manyFiles(40), Makefile: 'all:\n' });
    const result = await runReported(project, 'rm -rf ./*; echo new > new.txt');
    assert.equal(result.code, 122, result.stderr);
    assert.match(result.stderr, /41 deletions .*held back.*--allow-mass-delete/);
    assert.deepEqual(result.deleted, []);
    assert.equal(readdirSync(project.path('src')).length, 40);
    assert.equal(text(project, 'new.txt'), 'new\n');
    // The next run sees what is here.
    const next = await project.sh('ls src | wc -l');
    assert.equal(next.text.trim(), '40');
    const meant = await runReported(project, 'rm -rf src Makefile', {
      flags: ['--allow-mass-delete'],
    });
    assert.equal(meant.code, 0, meant.stderr);
    assert.ok(!project.has('src') && !project.has('Makefile'));
  });

  test('holds back more than 100 deletions that are more than 30 percent, but not a move', async () => {
    const project = paired.projectWith({ ...manyFiles(150), ...manyFiles(300, 'other') });
    const held = await runReported(project, 'rm -rf src');
    assert.equal(held.code, 122, held.stderr);
    assert.equal(readdirSync(project.path('src')).length, 150);
    const moved = await runReported(project, 'mv src moved');
    assert.equal(moved.code, 0, moved.stderr);
    assert.ok(!project.has('src'));
    assert.equal(readdirSync(project.path('moved')).length, 150);
    const few = await runReported(project, 'cd other; ls | head -n 90 | xargs rm');
    assert.equal(few.code, 0, few.stderr);
    assert.equal(readdirSync(project.path('other')).length, 210);
  });
});
