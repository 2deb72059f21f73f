import { expect, test } from "vitest";
import { blake2b } from "./blake2b.ts";
import { hex } from "./bytes.ts";
import * as made from "./statements.ts";
import vectors from "./vectors.json";

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

test.each(vectors.blake2b)("BLAKE2b of $size bytes, $person", ({ size, person, digest }) => {
  const bytes = Uint8Array.from({ length: size }, (_, place) => place % 251);
  expect(hex(blake2b(bytes, 32, person))).toBe(digest);
});

test("movements have the digests that co-signers know them by", () => {
  for (const { fields, digest } of vectors.intents) expect(made.intentDigest(fields)).toBe(digest);
});

test("a movement of other fields is none", () => {
  const { fields } = vectors.intents[0]!;
  expect(() => made.intentDigest({ ...fields, more: "1" })).toThrow();
  const { source, ...less } = fields;
  expect(() => made.intentDigest(less)).toThrow();
  for (const amount of ["1e9", "01", "-0", "1.0", " 1", "", '1,"x":2']) {
    expect(() => made.intentDigest({ ...fields, amount })).toThrow();
  }
});

test("every field of a movement is in its digest", () => {
  const { fields, digest } = vectors.intents[0]!;
  for (const [name, value] of Object.entries(fields)) {
    expect(made.intentDigest({ ...fields, [name]: `${value}1` }), name).not.toBe(digest);
  }
});

test("policies and orders have their digests", async () => {
  for (const { fields, digest } of vectors.policies) expect(made.policyDigest(fields as made.Fields)).toBe(digest);
  expect(hex(await made.orderDigest(vectors.order.fields))).toBe(vectors.order.digest);
});

test("people sign the same statements as in a terminal", async () => {
  const said = vectors.statements;
  expect(hex(await made.approvalDigest("custody-anna", "operations", said.digest, said.at))).toBe(said.approval);
  expect(hex(await made.vetoDigest("custody-anna", said.digest, said.because))).toBe(said.veto);
  expect(hex(await made.thawDigest("ops-1", "ab".repeat(32)))).toBe(said.thaw);
  expect(hex(await made.versionDigest(vectors.policies[0]!.fields as made.Fields, said.at))).toBe(said.version);
});

test("texts are the console's, line by line", () => {
  expect(text(made.enrolmentText(vectors.texts.enrolment.of))).toBe(vectors.texts.enrolment.text);
  expect(text(made.removalText(vectors.texts.removal.of))).toBe(vectors.texts.removal.text);
  expect(text(made.freezeText(vectors.texts.freeze.of))).toBe(vectors.texts.freeze.text);
});

test("a statement that lifts a halt is read into fields that make the same text, or not at all", () => {
  const read = made.readResume(vectors.texts.resume);
  expect(text(made.resumeText(read))).toBe(vectors.texts.resume);
  expect(read.cause).toBe("a row: edited by hand");
  const { resume } = vectors.texts;
  for (const other of [`${resume}more: 1\n`, resume.replace("\nscope", "\n\nscope"), resume.slice(0, -1), resume.replace("halt: ", "halt:")]) {
    expect(() => made.readResume(other)).toThrow();
  }
});

test("a fact is one line", () => {
  expect(() => made.freezeText({ venue: "a", seat: "b", because: "c\nat: 5", at: "4" })).toThrow();
});
