/**
 * This machine's identity: one P-256 key and a certificate over it, made once and kept as `key.pem`
 * and `cert.pem`. The key is the identity. The certificate is derived from it and is issued again
 * where it is missing; a key is never replaced, because everybody who paired with us pinned it.
 */
import { X509Certificate, createPrivateKey, generateKeyPairSync } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import path from 'node:path';
import { RmtxError } from '../errors.js';
import { createFileOnce } from '../util/create-once.js';
import { printable } from '../util/printable.js';
import { openPrivateDirectory, readPrivateFile } from '../util/private-file.js';
import { issueCertificate } from './certificate.js';
import { fingerprintOfKey } from './fingerprint.js';
import type { Fingerprint } from './fingerprint.js';

export interface Identity {
  readonly keyPem: string;
  readonly certPem: string;
  readonly fingerprint: Fingerprint;
}

export interface IdentityOptions {
  /** One line for the user: a key or directory was open to other users and has been closed. */
  readonly onNotice?: (message: string) => void;
}

const KEY_FILE = 'key.pem';
const CERTIFICATE_FILE = 'cert.pem';
const CURVE = 'prime256v1';

/**
 * Reads the identity in this directory, or makes it where there is none. Any number of processes may
 * do so at once: all return the same one. A kill at any moment leaves nothing, a key without its
 * certificate (completed here), or the whole.
 *
 * Throws STATE_UNSAFE where a file or the directory is not this user's own, and STATE_CORRUPT naming
 * the file where one cannot be read as what it should be. Neither is ever answered by a new identity.
 */
export function loadOrCreateIdentity(directory: string, options: IdentityOptions = {}): Identity {
  const files = new IdentityFiles(directory, options);
  openPrivateDirectory(directory, { onRepair: files.onRepair });
  const existing = files.readKey();
  if (existing !== undefined) return files.complete(existing);
  createFileOnce(files.keyFile, newKeyPem());
  return files.complete(files.readKey() ?? vanished(files.keyFile));
}

/**
 * The identity in this directory, or undefined where none was made yet. Two file reads, and the same
 * promises as {@link loadOrCreateIdentity}.
 */
export function loadIdentity(
  directory: string,
  options: IdentityOptions = {},
): Identity | undefined {
  const files = new IdentityFiles(directory, options);
  const keyPem = files.readKey();
  return keyPem === undefined ? undefined : files.complete(keyPem);
}

class IdentityFiles {
  readonly keyFile: string;
  readonly certificateFile: string;
  readonly onRepair: (repaired: string) => void;

  constructor(directory: string, options: IdentityOptions) {
    this.keyFile = path.join(directory, KEY_FILE);
    this.certificateFile = path.join(directory, CERTIFICATE_FILE);
    this.onRepair = (repaired) =>
      options.onNotice?.(`${printable(repaired)} was open to other users; it is private now`);
  }

  /** Undefined where there is no identity; a certificate that has lost its key is not that. */
  readKey(): string | undefined {
    const keyPem = this.#read(this.keyFile);
    if (keyPem !== undefined || this.#read(this.certificateFile) === undefined) return keyPem;
    // Asked again: another process may have made both files between the two looks.
    return this.#read(this.keyFile) ?? lostKey(this.keyFile, this.certificateFile);
  }

  complete(keyPem: string): Identity {
    const key = parseKey(keyPem, this.keyFile);
    let certPem = this.#read(this.certificateFile);
    if (certPem === undefined) {
      createFileOnce(this.certificateFile, issueCertificate(key));
      certPem = this.#read(this.certificateFile) ?? vanished(this.certificateFile);
    }
    const fingerprint = parseCertificate(certPem, this.certificateFile, key);
    return { keyPem, certPem, fingerprint };
  }

  #read(file: string): string | undefined {
    return readPrivateFile(file, { onRepair: this.onRepair })?.toString('utf8');
  }
}

function newKeyPem(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: CURVE });
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

function parseKey(keyPem: string, file: string): KeyObject {
  let key: KeyObject;
  try {
    key = createPrivateKey(keyPem);
  } catch (cause) {
    throw unreadableKey(file, 'is not a private key', cause);
  }
  if (key.asymmetricKeyDetails?.namedCurve !== CURVE)
    throw unreadableKey(file, 'is not a P-256 key');
  return key;
}

/** The fingerprint, once it is sure that the certificate carries this very key. */
function parseCertificate(certPem: string, file: string, key: KeyObject): Fingerprint {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(certPem);
  } catch (cause) {
    throw wrongCertificate(file, 'is not a certificate', cause);
  }
  if (!certificate.checkPrivateKey(key))
    throw wrongCertificate(file, `does not belong to ${KEY_FILE} beside it`);
  return fingerprintOfKey(certificate.publicKey);
}

function unreadableKey(file: string, reason: string, cause?: unknown): RmtxError {
  return new RmtxError('ERR_RMTX_STATE_CORRUPT', `${printable(file)} ${reason}`, {
    cause,
    hint: `restore it from a backup, or remove ${KEY_FILE} and ${CERTIFICATE_FILE} and pair again`,
  });
}

function wrongCertificate(file: string, reason: string, cause?: unknown): RmtxError {
  return new RmtxError('ERR_RMTX_STATE_CORRUPT', `${printable(file)} ${reason}`, {
    cause,
    hint: 'remove it: it is made again from the key, and no pairing is lost',
  });
}

function lostKey(keyFile: string, certificateFile: string): never {
  throw new RmtxError(
    'ERR_RMTX_STATE_CORRUPT',
    `${printable(keyFile)} is missing, but its certificate is there`,
    { hint: `restore it from a backup, or remove ${printable(certificateFile)} and pair again` },
  );
}

function vanished(file: string): never {
  throw new RmtxError('ERR_RMTX_STATE_CORRUPT', `${printable(file)} vanished while it was read`);
}
