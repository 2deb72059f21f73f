import { expect, test } from "vitest";
import { typedOf, unitsOf } from "./amounts.ts";
import { joined, records } from "./csv.ts";
import { quoted, signedFields } from "./funds/signed.ts";
import { qrPath } from "./qr.ts";

test.each([
  ["0.25", 8, 25_000_000n], ["1,000.5", 6, 1_000_500_000n], ["9007199254740993.00000001", 8, 900719925474099300000001n], [" 3 ", 0, 3n],
])("%s with %i decimals is read exactly", (typed, scale, units) => {
  expect(unitsOf(typed, scale, "XBT")).toBe(units);
});

test.each([
  ["", "no amount"], ["one", "no amount"], ["0", "above zero"], ["-1", "above zero"], ["0.000000001", "8 decimals"],
])("%o is refused in words", (typed, words) => {
  expect(() => unitsOf(typed, 8, "XBT")).toThrow(words);
});

test("what is filled in is what was meant, without needless zeros", () => {
  expect(typedOf(150_000_000n, 8)).toBe("1.5");
  expect(typedOf(0n, 8)).toBe("0");
  expect(typedOf(100n, 0)).toBe("100");
  expect(unitsOf(typedOf(1n, 9), 9, "SOL")).toBe(1n);
});

test("a quoted field may hold commas, quotes and lines", () => {
  expect(records('a,b\r\n1,"x\r\ny ""z"""\r\n2,q\r\n')).toEqual(["a,b", '1,"x\r\ny ""z"""', "2,q"]);
  expect(records("a,b")).toEqual(["a,b"]);
  expect(records("")).toEqual([]);
});

/** Serve rows as pages of so many. */
const pages = (rows: readonly string[], size: number) => async (start: number): Promise<string> =>
  ["number,text", ...rows.slice(start, start + size), ""].join("\r\n");

test.each([0, 1, 2, 3, 4, 5])("%i rows come whole in pages of two, under one head", async (count) => {
  const rows = Array.from({ length: count }, (_, number) => `${number},"two\r\nlines"`);
  const told: number[] = [];
  const found = await joined(pages(rows, 2), 2, (now) => told.push(now));
  expect(found).toEqual({ text: ["number,text", ...rows, ""].join("\r\n"), rows: count });
  expect(told.at(-1)).toBe(count);
});

test("columns that change between pages are not joined", async () => {
  const other = async (start: number): Promise<string> => (start ? "a,c\r\n3,4\r\n" : "a,b\r\n1,2\r\n");
  await expect(joined(other, 1, () => {})).rejects.toThrow("columns changed");
});

test("an empty answer is an empty file", async () => {
  expect(await joined(async () => "", 500, () => {})).toEqual({ text: "", rows: 0 });
});

test("what the command printed is read, whatever stands around it", () => {
  const printed = 'ringfence-withdrawal\n{"address": "bcrt1q", "amount": 9007199254740993, "nonce": 7, "signature": "ab"}\n';
  expect(signedFields(printed, ["address", "nonce", "signature"])).toEqual({
    address: "bcrt1q", amount: "9007199254740993", nonce: "7", signature: "ab",
  });
  expect(() => signedFields("nothing", ["nonce"])).toThrow("not what the command prints");
  expect(() => signedFields('{"nonce": 7}', ["nonce", "signature"])).toThrow("signature is missing");
});

test("words of a command line cannot become two", () => {
  expect(quoted("bcrt1qxyz")).toBe("bcrt1qxyz");
  expect(quoted("my home")).toBe("'my home'");
  expect(quoted("$(rm -rf ~); it's")).toBe("'$(rm -rf ~); it'\\''s'");
});

test("a QR code has its three corners, and four modules of quiet around", () => {
  const { path, size } = qrPath("bcrt1qexample");
  const dark = new Set([...path.matchAll(/M(\d+) (\d+)h1v1h-1z/g)].map(([, x, y]) => `${x} ${y}`));
  const finder = ["1111111", "1000001", "1011101", "1011101", "1011101", "1000001", "1111111"];
  for (const [left, top] of [[4, 4], [size - 11, 4], [4, size - 11]] as const) {
    const drawn = finder.map((row, y) => [...row].map((_, x) => (dark.has(`${left + x} ${top + y}`) ? "1" : "0")).join(""));
    expect(drawn).toEqual(finder);
  }
  for (const module of dark) for (const at of module.split(" ").map(Number)) expect(at >= 4 && at < size - 4).toBe(true);
});
