import { expect, test } from "vitest";
import { hex, unhex, utf8, type Bytes } from "./bytes.ts";
import { KeyFileError, signWith } from "./key.ts";

const SAID = utf8("RINGFENCE RESUME\n");
const P256 = { name: "ECDSA", namedCurve: "P-256" };

async function pem(key: CryptoKey): Promise<string> {
  const raw = new Uint8Array(await crypto.subtle.exportKey("pkcs8", key));
  return `-----BEGIN PRIVATE KEY-----\n${btoa(String.fromCharCode(...raw))}\n-----END PRIVATE KEY-----\n`;
}

/** Return r|s of a DER signature, which WebCrypto checks. */
function raw(der: Bytes): Bytes {
  const both = new Uint8Array(64);
  let at = 2;
  for (const end of [32, 64]) {
    const length = der[at + 1]!;
    const digits = der.slice(at + 2, at + 2 + length);
    const trimmed = digits.length > 32 ? digits.slice(1) : digits;
    both.set(trimmed, end - trimmed.length);
    at += 2 + length;
  }
  expect(at).toBe(der.length);
  return both;
}

test("a key on P-256 signs in DER, whatever its digits begin with", async () => {
  const pair = await crypto.subtle.generateKey(P256, true, ["sign", "verify"]);
  const file = await pem(pair.privateKey);
  for (let turn = 0; turn < 200; turn++) {
    const der = unhex(await signWith(file, "", "ecdsa-p256-sha256", SAID));
    const how = { name: "ECDSA", hash: "SHA-256" };
    expect(await crypto.subtle.verify(how, pair.publicKey, raw(der), SAID)).toBe(true);
  }
});

test("an Ed25519 key signs from PEM and from 64 digits", async () => {
  const pair = (await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"])) as CryptoKeyPair;
  const seed = hex(new Uint8Array(await crypto.subtle.exportKey("pkcs8", pair.privateKey)).slice(-32));
  for (const file of [await pem(pair.privateKey), seed, `${seed}\n`]) {
    const signature = unhex(await signWith(file, "", "ed25519", SAID));
    expect(await crypto.subtle.verify("Ed25519", pair.publicKey, signature, SAID)).toBe(true);
  }
});

test.each(["", "a key", "ab".repeat(31), "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
  "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIAA\n-----END ENCRYPTED PRIVATE KEY-----", "-----BEGIN CERTIFICATE-----"])(
  "%j is no key file", async (file) => {
    await expect(signWith(file, "words", "ed25519", SAID)).rejects.toThrow(KeyFileError);
  },
);

test("a key of another kind than the list has does not sign", async () => {
  const pair = await crypto.subtle.generateKey(P256, true, ["sign", "verify"]);
  await expect(signWith(await pem(pair.privateKey), "", "ed25519", SAID)).rejects.toThrow(KeyFileError);
});
