import { expect, test } from "vitest";
import { ceilDiv, decimal, parseDecimal, roundDiv, textOf, unitsAt } from "./decimal.ts";
import { amount, countdown, grouped, padded, percent, price, signedAmount } from "./format.ts";

test.each([
  ["100000.5", 1000005n, 1], ["-0.05", -5n, 2], ["1e-05", 1n, 5], ["2.5E+3", 2500n, 0], ["9007199254740993", 9007199254740993n, 0],
  [".5", 5n, 1], ["5.", 5n, 0],
])("%s is read exactly", (text, units, scale) => {
  expect(decimal(text)).toEqual({ units, scale });
});

test.each(["", "-", ".", "1,000", "0x10", "1e", "one", "1 2"])("%o is no number", (text) => {
  expect(parseDecimal(text)).toBeNull();
});

test("digits are never lost by changing the scale", () => {
  expect(unitsAt(decimal("1.50"), 1)).toBe(15n);
  expect(unitsAt(decimal("1.55"), 1)).toBeNull();
  expect(textOf(-5n, 2)).toBe("-0.05");
});

test("divisions round as their names say", () => {
  expect([ceilDiv(7n, 2n), ceilDiv(-7n, 2n), ceilDiv(6n, 2n)]).toEqual([4n, -3n, 3n]);
  expect([roundDiv(5n, 2n), roundDiv(-5n, 2n), roundDiv(4n, 3n)]).toEqual([3n, -3n, 1n]);
});

test("numbers for eyes keep every digit", () => {
  expect(grouped("-1234567.891")).toBe("−1,234,567.891");
  expect(padded("100000", 1)).toBe("100000.0");
  expect(padded("100000.123", 1)).toBe("100000.123");
  expect(padded("1e2", 1)).toBe("100.0");
  expect(price(null, 1)).toBe("–");
  expect(amount("123456789012345678901", 8)).toBe("1,234,567,890,123.45678901");
  expect(signedAmount("5", 2)).toBe("+0.05");
  expect(signedAmount("-5", 2)).toBe("−0.05");
  expect(percent("0.0001", 4)).toBe("+0.0100%");
  expect(percent("-0.01234", 2)).toBe("−1.23%");
  expect(countdown(3_661_000)).toBe("01:01:01");
  expect(countdown(-1)).toBe("now");
});
