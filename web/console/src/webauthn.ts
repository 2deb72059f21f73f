/** Hardware keys: what the browser asks them, as the console wants it answered. */

import { post } from "./api.ts";
import { base64url, hex, sha256, type Bytes } from "./sign/bytes.ts";
import { enrolmentText, removalText } from "./sign/statements.ts";

type Sign = (said: Bytes) => Promise<string>;

interface Begun {
  ticket: string;
  publicKey: PublicKeyCredentialRequestOptionsJSON;
}

export async function signIn(): Promise<void> {
  const { ticket, publicKey } = await post<Begun>("login/begin");
  const found = await navigator.credentials.get({
    publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(publicKey),
  });
  await post("login", { ticket, answer: (found as PublicKeyCredential).toJSON() });
}

/** Enrol a new hardware key for a seat; `sign` signs with the key that the list has of its person. */
export async function enrol(seat: string, sign: Sign): Promise<void> {
  const begun = await post<{ ticket: string; venue: string; publicKey: PublicKeyCredentialCreationOptionsJSON }>(
    "key/begin", { seat },
  );
  const made = await navigator.credentials.create({
    publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(begun.publicKey),
  });
  const credential = made as PublicKeyCredential;
  const raw = (credential.response as AuthenticatorAttestationResponse).getPublicKey();
  if (!raw) throw new Error("the browser does not say which key it is");
  const signature = await sign(
    enrolmentText({
      venue: begun.venue, seat, credential: base64url(new Uint8Array(credential.rawId)),
      key: hex(await sha256(new Uint8Array(raw))), challenge: begun.publicKey.challenge,
    }),
  );
  await post("key", { ticket: begun.ticket, seat, answer: credential.toJSON(), signature });
}

/** Remove a hardware key, also one that is lost: the list's key alone says so. */
export async function remove(seat: string, credential: string, sign: Sign): Promise<void> {
  const begun = await post<{ ticket: string; venue: string; challenge: string }>("key/remove/begin");
  const signature = await sign(removalText({ venue: begun.venue, seat, credential, challenge: begun.challenge }));
  await post("key/remove", { ticket: begun.ticket, seat, credential, signature });
}

