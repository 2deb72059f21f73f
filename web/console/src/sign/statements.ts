/**
 * What is signed, made here of the fields that are shown, never taken from the console as a digest.
 *
 * Twins: `custody/intents.py`, `custody/policy/policy.py`, `custody/quorum/messages.py`, `custody/quorum/mpc/keys.py`
 * and `console/texts.py`; `vectors.json` holds both sides to the same bytes.
 */

import { blake2b } from "./blake2b.ts";
import { hex, joined, sha256, utf8, type Bytes } from "./bytes.ts";

/** Every value as text: integers too, which a number would round. */
export type Fields = { readonly [name: string]: string | readonly string[] | readonly Fields[] };

/** Return the digest of a kind of statement and of every part with its length. */
export async function statement(what: string, ...parts: readonly string[]): Promise<Bytes> {
  const pieces: Bytes[] = [utf8(`ringfence custody 1 ${what}`)];
  for (const part of parts) {
    const raw = utf8(part);
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, raw.length);
    pieces.push(length, raw);
  }
  return sha256(joined(...pieces));
}

// ---- movements

const INTENT_TEXTS = ["id", "kind", "chain", "asset", "owner", "destination", "requested_by", "source"];
const INTENT_NUMBERS = ["account", "amount", "fee_max", "requested_ns", "expires_ns"];

/** Return the digest of a movement, of the very fields that are shown. Throws if there is one too many or too few. */
export function intentDigest(intent: Fields): string {
  needExactly(intent, [...INTENT_TEXTS, ...INTENT_NUMBERS]);
  return hex(blake2b(utf8(canonical(intent, INTENT_TEXTS)), 32, "ringfence intnt"));
}

export const approvalDigest = (person: string, group: string, digest: string, at: string): Promise<Bytes> =>
  statement("approval", person, group, digest, at);

export const vetoDigest = (person: string, digest: string, because: string): Promise<Bytes> =>
  statement("veto", person, digest, because);

export const thawDigest = (signer: string, frozen: string): Promise<Bytes> => statement("thaw", signer, frozen);

// ---- policies

const POLICY_TEXTS = ["chain", "asset", "kinds"];

/** Return the digest of a policy, of the very figures that are shown. */
export function policyDigest(policy: Fields): string {
  return hex(blake2b(utf8(canonical(policy, POLICY_TEXTS)), 32));
}

/** Return what is signed under a version: its digest, and when it was drafted. */
export const versionDigest = (policy: Fields, announced: string): Promise<Bytes> =>
  statement("policy", policyDigest(policy), announced);

// ---- orders for keys that nobody has

const ORDER_TEXTS = ["what", "key", "scheme", "parties", "target", "nonce"];
const ORDER_NUMBERS = ["epoch", "threshold", "at_ns"];

export function orderDigest(order: Fields): Promise<Bytes> {
  needExactly(order, [...ORDER_TEXTS, ...ORDER_NUMBERS]);
  return statement("mpc order", canonical(order, ORDER_TEXTS));
}

// ---- texts

type Fact = readonly [name: string, value: string];

function text(title: string, ...facts: readonly Fact[]): Bytes {
  for (const [, value] of facts) if (/[\n\r]/.test(value)) throw new Error("a fact is one line");
  return utf8([title, ...facts.map(([name, value]) => `${name}: ${value}`)].map((line) => `${line}\n`).join(""));
}

export interface NewKey {
  venue: string;
  seat: string;
  credential: string;
  /** SHA-256 of its public half as SPKI. */
  key: string;
  challenge: string;
}

export const enrolmentText = (of: NewKey): Bytes =>
  text(
    "RINGFENCE CONSOLE KEY", ["venue", of.venue], ["seat", of.seat], ["credential", of.credential],
    ["credential key", of.key], ["challenge", of.challenge],
  );

export const removalText = (of: Omit<NewKey, "key">): Bytes =>
  text(
    "RINGFENCE CONSOLE KEY REMOVED", ["venue", of.venue], ["seat", of.seat], ["credential", of.credential],
    ["challenge", of.challenge],
  );

export const freezeText = (of: { venue: string; seat: string; because: string; at: string }): Bytes =>
  text("RINGFENCE CONSOLE FREEZE", ["venue", of.venue], ["seat", of.seat], ["because", of.because], ["at", of.at]);

export interface Resume {
  venue: string;
  scope: string;
  target: string;
  halt: string;
  sequence: string;
  accountsRoot: string;
  funding: string;
  cause: string;
}

const RESUME_LINES = [
  ["venue", "venue"], ["scope", "scope"], ["target", "target"], ["halt", "halt"], ["sequence", "sequence"],
  ["accounts root", "accountsRoot"], ["missed funding", "funding"], ["cause", "cause"],
] as const;

export const resumeText = (of: Resume): Bytes =>
  text("RINGFENCE RESUME", ...RESUME_LINES.map(([name, field]): Fact => [name, of[field]]));

/** Return what a statement says, field by field, as it is shown. Throws unless the fields make the very same text. */
export function readResume(said: string): Resume {
  const values = new Map(said.split("\n").slice(1, -1).map((line): Fact => split(line)));
  const read = Object.fromEntries(RESUME_LINES.map(([name, field]) => [field, values.get(name) ?? ""]));
  const resume = read as unknown as Resume;
  if (new TextDecoder().decode(resumeText(resume)) !== said) throw new Error("this is no statement that lifts a halt");
  return resume;
}

function split(line: string): Fact {
  const at = line.indexOf(": ");
  return [line.slice(0, at), line.slice(at + 2)];
}

// ---- canonical JSON

function needExactly(fields: Fields, names: readonly string[]): void {
  const found = Object.keys(fields).sort().join();
  if (found !== [...names].sort().join()) throw new Error("the fields are not those of what is signed");
}

/** Return JSON with sorted names and without spaces; values that are in no `texts` are integers. */
export function canonical(fields: Fields, texts: readonly string[]): string {
  const lines = Object.keys(fields).sort().map((name) => {
    const value = fields[name]!;
    return `${JSON.stringify(name)}:${written(value, texts.includes(name), texts)}`;
  });
  return `{${lines.join(",")}}`;
}

function written(value: Fields[string] | Fields, isText: boolean, texts: readonly string[]): string {
  if (typeof value === "string") return isText ? JSON.stringify(value) : integer(value);
  if (Array.isArray(value)) return `[${value.map((one: string | Fields) => written(one, isText, texts)).join(",")}]`;
  return canonical(value as Fields, texts);
}

function integer(value: string): string {
  if (!/^(0|-?[1-9]\d*)$/.test(value)) throw new Error(`${value} is no integer`);
  return value;
}
