// Holds a Sigstore bundle against a public key with Sigstore's own library: the signature
// and the form of the bundle. It does not look at the disk.
import fs from 'node:fs';
import crypto from 'node:crypto';
import { bundleFromJSON } from '@sigstore/bundle';
import { Verifier, toSignedEntity } from '@sigstore/verify';

const [file, key] = process.argv.slice(2);
const publicKey = crypto.createPublicKey(fs.readFileSync(key));
const trusted = { certificateAuthorities: [], timestampAuthorities: [], tlogs: [], ctlogs: [], publicKey: () => ({ publicKey, validFor: () => true }) };
try {
  const bundle = bundleFromJSON(JSON.parse(fs.readFileSync(file)));
  new Verifier(trusted, { tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: 0 }).verify(toSignedEntity(bundle));
  console.log('verified');
} catch (e) {
  console.log(`${e.code}: ${e.message}`);
  process.exit(1);
}
