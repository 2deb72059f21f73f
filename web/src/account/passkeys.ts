/** Passkeys: the browser's own dialogs, with the server's options and answers in the W3C's JSON form. */

export const ARE_POSSIBLE =
  typeof PublicKeyCredential === "function" && typeof PublicKeyCredential.parseRequestOptionsFromJSON === "function";

/** A passkey belongs to a name: at an address of digits there are none. */
export const namedAddress = (): string | null =>
  /^[\d.]+$|^\[/.test(location.hostname) ? `${location.protocol}//localhost:${location.port}${location.pathname}` : null;

/** Have a passkey made. Throws in words for people. */
export async function make(options: PublicKeyCredentialCreationOptionsJSON): Promise<object> {
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options);
  return inWords(navigator.credentials.create({ publicKey }));
}

/** Have a passkey answer. Throws in words for people. */
export async function use(options: PublicKeyCredentialRequestOptionsJSON): Promise<object> {
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
  return inWords(navigator.credentials.get({ publicKey }));
}

const WORDS: Record<string, string> = {
  NotAllowedError: "No passkey was used: you cancelled, it took too long, or this device has none for this account.",
  InvalidStateError: "This device has a passkey for this account already.",
  SecurityError: "Passkeys do not work at this address: open the page by its name, not by a number.",
};

async function inWords(asking: Promise<Credential | null>): Promise<object> {
  try {
    const found = (await asking) as PublicKeyCredential | null;
    if (!found) throw new Error("No passkey was used.");
    return found.toJSON() as object;
  } catch (error) {
    const words = error instanceof DOMException ? WORDS[error.name] : undefined;
    throw words ? new Error(words) : error;
  }
}
