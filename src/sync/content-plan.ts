/**
 * What has to be done to turn a workspace as it is into a manifest, and where the content comes from: from
 * what is there already, under the same name or another, from the blob store, else from the client.
 * Planning changes nothing.
 */
import { closeSync } from 'node:fs';
import type { BlobStore } from '../store/blob-store.js';
import type { Digest } from '../store/digest.js';
import type { EntryTable } from './entry-table.js';
import type { WorkspacePath } from './entry.js';
import { PathCursor } from './path-cursor.js';
