/** Amounts that people type in coins and the API takes in smallest units. */

import { parseDecimal, textOf, unitsAt } from "../numbers/decimal.ts";

/** Return the smallest units of what was typed, exactly. Throws in words for people. */
export function unitsOf(typed: string, scale: number, name: string): bigint {
  const value = parseDecimal(typed.replaceAll(",", ""));
  if (!value) throw new Error(`"${typed}" is no amount of ${name}. Digits and one point, for example 0.25.`);
  const units = unitsAt(value, scale);
  if (units === null) throw new Error(`${name} has ${scale} decimals: "${typed}" has more.`);
  if (units <= 0n) throw new Error("The amount has to be above zero.");
  return units;
}

/** Return smallest units as they are typed: no digit and no zero more than needed. */
export function typedOf(units: bigint, scale: number): string {
  const text = textOf(units, scale);
  return scale ? text.replace(/\.?0+$/, "") || "0" : text;
}
