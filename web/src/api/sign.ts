/** Signatures as BitMEX's: HMAC-SHA-256 over verb, path with query, expiry and body, in hexadecimal. */

const VALID_SECONDS = 60;

export interface Credentials {
  readonly id: string;
  readonly secret: string;
}

export async function signature(secret: string, message: string): Promise<string> {
  const bytes = new TextEncoder();
  const form = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", bytes.encode(secret), form, false, ["sign"]);
  const signed = await crypto.subtle.sign("HMAC", key, bytes.encode(message));
  return Array.from(new Uint8Array(signed), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Return the second after which a request signed now is void, by the clock of the exchange. */
export const expiry = (exchangeMilliseconds: number): number =>
  Math.floor(exchangeMilliseconds / 1000) + VALID_SECONDS;
