import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { amdGpus, parseNvidia } from '../../../../src/host/machine/gpus.js';

test('nvidia-smi: sizes in MiB, and words for what it cannot tell', () => {
  const text =
    'NVIDIA H200, 3, 512, 143771, 31\nTesla K80, [N/A], [Not Supported], 11441, ERR!\r\n\n';
  assert.deepEqual(parseNvidia(text), [
    {
      name: 'NVIDIA H200',
      usedPercent: 3,
      memoryUsedBytes: 512 * 1024 * 1024,
      memoryTotalBytes: 143_771 * 1024 * 1024,
      celsius: 31,
    },
    {
      name: 'Tesla K80',
      usedPercent: undefined,
      memoryUsedBytes: undefined,
      memoryTotalBytes: 11_441 * 1024 * 1024,
      celsius: undefined,
    },
  ]);
  assert.deepEqual(parseNvidia('NVIDIA-SMI has failed because it could not talk, sorry\n'), []);
});

test(
  'AMD: the files of the driver, of cards alone',
  { skip: process.platform !== 'linux' },
  async (t) => {
    const drm = mkdtempSync(path.join(os.tmpdir(), 'rmtx-drm-'));
    t.after(() => rmSync(drm, { recursive: true }));
    const card = (name: string, files: Record<string, string>): void => {
      const device = path.join(drm, name, 'device');
      mkdirSync(device, { recursive: true });
      for (const [file, text] of Object.entries(files))
        writeFileSync(path.join(device, file), text);
    };
    card('card0', {
      gpu_busy_percent: '17\n',
      mem_info_vram_used: '1000000\n',
      mem_info_vram_total: '8000000\n',
    });
    card('card0-DP-1', { gpu_busy_percent: '99\n' });
    card('card1', { vendor: '0x8086\n' });
    assert.deepEqual(await amdGpus(drm), [
      {
        name: 'AMD',
        usedPercent: 17,
        memoryUsedBytes: 1_000_000,
        memoryTotalBytes: 8_000_000,
        celsius: undefined,
      },
    ]);
    assert.deepEqual(await amdGpus(path.join(drm, 'nowhere')), []);
  },
);
