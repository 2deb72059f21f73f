/**
 * Reports and receipts. What is sealed is sealed by age (vendor/age.js: typage, by age's author), and nothing here is a
 * protocol of its own: a report is JSON for the role's recipient, answers come sealed for a key made with the report.
 */

/** Return what seals; it is made from its npm package when the exchange is installed. Throws TypeError if it was not. */
export const age = () => import("../vendor/age.js");

const STEP_BYTES = 4096;
const RECEIPT = /ringfence-receipt\s+(R[0-9a-f]{10})\s+([A-Za-z0-9_-]{43})\s+(AGE-SECRET-KEY-1[0-9A-Z]{58})/;

/** Return fields as an age file in armour. Spaces make lengths alike: how much was said is not seen. */
export async function seal(fields, recipient) {
  const content = new TextEncoder().encode(JSON.stringify(fields));
  const padded = new Uint8Array(Math.ceil(content.length / STEP_BYTES) * STEP_BYTES).fill(0x20);
  padded.set(content);
  const { Encrypter, armor } = await age();
  const encrypter = new Encrypter();
  encrypter.addRecipient(recipient);
  return armor.encode(await encrypter.encrypt(padded));
}

/** Return the text that was sealed for an identity. Throws Error. */
export async function open(sealed, identity) {
  const { Decrypter, armor } = await age();
  const decrypter = new Decrypter();
  decrypter.addIdentity(identity);
  return decrypter.decrypt(armor.decode(sealed), "text");
}

/** Return a new {identity, recipient} for answers. */
export async function newReply() {
  const { generateX25519Identity, identityToRecipient } = await age();
  const identity = await generateX25519Identity();
  return { identity, recipient: await identityToRecipient(identity) };
}

export const receiptOf = (id, secret, identity) => `ringfence-receipt ${id} ${secret} ${identity}`;

/** Return {id, secret, identity}. Throws Error if the text holds no receipt. */
export function readReceipt(text) {
  const found = RECEIPT.exec(text);
  if (!found) throw new Error("That is no receipt: it begins with ringfence-receipt and has three parts.");
  return { id: found[1], secret: found[2], identity: found[3] };
}
