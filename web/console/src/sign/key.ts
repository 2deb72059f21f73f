/**
 * A person's private key, from the file that they keep it in: read here, used once, sent nowhere and kept nowhere.
 *
 * Files are those of `ringfence halt new-key` (PKCS #8, with a passphrase or without one) and those of custody's people
 * (32 bytes of Ed25519 in hexadecimal).
 */

import { hex, joined, unbase64, unhex, utf8, type Bytes } from "./bytes.ts";

export type Scheme = "ed25519" | "ecdsa-p256-sha256";

const RAW_ED25519 = unhex("302e020100300506032b657004220420");
const PBES2 = "06092a864886f70d01050d";
const PBKDF2 = "06092a864886f70d01050c";
const SHA256_PRF = "06082a864886f70d0209";
const AES256_CBC = "060960864801650304012a";
const ITERATIONS_MAX = 10_000_000;

export class KeyFileError extends Error {}

/** Return a signature in hexadecimal, as the exchange's processes check it. Throws KeyFileError. */
export async function signWith(file: string, passphrase: string, scheme: Scheme, said: Bytes): Promise<string> {
  const key = await readKey(file, passphrase, scheme);
  if (scheme === "ed25519") return hex(new Uint8Array(await crypto.subtle.sign("Ed25519", key, said)));
  const signed = await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, key, said);
  return hex(asDer(new Uint8Array(signed)));
}

async function readKey(file: string, passphrase: string, scheme: Scheme): Promise<CryptoKey> {
  const algorithm = scheme === "ed25519" ? { name: "Ed25519" } : { name: "ECDSA", namedCurve: "P-256" };
  let pkcs8: Bytes;
  try {
    pkcs8 = await opened(file.trim(), passphrase);
  } catch (error) {
    throw error instanceof KeyFileError ? error : new KeyFileError("the file cannot be opened: is the passphrase right?");
  }
  try {
    return await crypto.subtle.importKey("pkcs8", pkcs8, algorithm, false, ["sign"]);
  } catch {
    throw new KeyFileError(`the file holds no ${scheme} key, which is what the list has of you`);
  }
}

async function opened(file: string, passphrase: string): Promise<Bytes> {
  if (/^[0-9a-f]{64}$/i.test(file)) return joined(RAW_ED25519, unhex(file));
  const found = /^-----BEGIN (ENCRYPTED )?PRIVATE KEY-----([\s\S]+)-----END (ENCRYPTED )?PRIVATE KEY-----$/.exec(file);
  if (!found) throw new KeyFileError("this is no key file: a PEM with a private key, or 64 hexadecimal digits");
  const der = unbase64(found[2]!.replaceAll(/\s/g, ""));
  return found[1] ? decrypted(der, passphrase) : der;
}

/** Open what `BestAvailableEncryption` of Python's cryptography writes: PBES2 with PBKDF2, SHA-256 and AES-256-CBC. */
async function decrypted(der: Bytes, passphrase: string): Promise<Bytes> {
  const [scheme, sealed] = parts(only(der));
  const [pbes2, parameters] = parts(scheme!.body);
  const [derivation, cipher] = parts(parameters!.body);
  const [pbkdf2, figures] = parts(derivation!.body);
  const [salt, count, ...rest] = parts(figures!.body);
  const [aes, iv] = parts(cipher!.body);
  const prf = parts(rest.at(-1)!.body)[0]!;
  const names = [pbes2!, pbkdf2!, prf, aes!].map((one) => hex(one.whole));
  if (names.join() !== [PBES2, PBKDF2, SHA256_PRF, AES256_CBC].join()) {
    throw new KeyFileError("the file is sealed in a way that is not known here: sign with `ringfence` in a terminal");
  }
  const iterations = Number.parseInt(hex(count!.body), 16);
  if (iterations > ITERATIONS_MAX) throw new KeyFileError("the file asks for too many rounds");
  const word = await crypto.subtle.importKey("raw", utf8(passphrase), "PBKDF2", false, ["deriveKey"]);
  const key = await crypto.subtle.deriveKey(
    { name: "PBKDF2", salt: salt!.body, iterations, hash: "SHA-256" }, word, { name: "AES-CBC", length: 256 }, false,
    ["decrypt"],
  );
  return new Uint8Array(await crypto.subtle.decrypt({ name: "AES-CBC", iv: iv!.body }, key, sealed!.body));
}

interface Part {
  whole: Bytes;
  body: Bytes;
}

/** Return the content of the one DER element that bytes are. */
function only(der: Bytes): Bytes {
  const found = parts(der);
  if (found.length !== 1) throw new KeyFileError("this is no key file");
  return found[0]!.body;
}

/** Return DER elements one after the other. */
function parts(der: Bytes): Part[] {
  const found: Part[] = [];
  for (let at = 0; at < der.length; ) {
    let begin = at + 2;
    let length = der[at + 1]!;
    if (length > 0x80) {
      const digits = length - 0x80;
      length = der.slice(begin, begin + digits).reduce((sum, one) => sum * 256 + one, 0);
      begin += digits;
    }
    if (begin + length > der.length) throw new KeyFileError("the file was cut short");
    found.push({ whole: der.slice(at, begin + length), body: der.slice(begin, begin + length) });
    at = begin + length;
  }
  return found;
}

/** Return r|s as DER, which is what the exchange's processes read. */
function asDer(signed: Bytes): Bytes {
  const whole = joined(derInteger(signed.slice(0, 32)), derInteger(signed.slice(32)));
  return joined(Uint8Array.of(0x30, whole.length), whole);
}

function derInteger(raw: Bytes): Bytes {
  let begin = 0;
  while (begin < raw.length - 1 && raw[begin] === 0) begin++;
  const digits = raw.slice(begin);
  const body = digits[0]! & 0x80 ? joined(Uint8Array.of(0), digits) : digits;
  return joined(Uint8Array.of(0x02, body.length), body);
}
