/** Numbers for eyes: digits in threes, a true minus, nothing rounded unless the name says so. */

import { decimal, roundDiv, textOf } from "./decimal.ts";

/** Put digits into threes and write a minus that is as wide as a plus. */
export function grouped(text: string): string {
  const [whole = "", part] = text.replace("-", "").split(".");
  const threes = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return (text.startsWith("-") ? "−" : "") + threes + (part === undefined ? "" : `.${part}`);
}

/** Return a number of the API with at least so many decimals, so that columns align; none is dropped. */
export function padded(text: string, decimals: number): string {
  const { units, scale } = decimal(text);
  return scale >= decimals ? trimmed(units, scale, decimals) : textOf(units * 10n ** BigInt(decimals - scale), decimals);
}

function trimmed(units: bigint, scale: number, decimals: number): string {
  while (scale > decimals && units % 10n === 0n) {
    units /= 10n;
    scale -= 1;
  }
  return textOf(units, scale);
}

export function price(text: string | null | undefined, decimals: number): string {
  return text == null ? "–" : grouped(padded(text, decimals));
}

export function quantity(text: string | bigint | null | undefined): string {
  return text == null ? "–" : grouped(text.toString());
}

/** Return an amount of smallest units in its major currency, exactly. */
export function amount(units: string | bigint | null | undefined, scale: number): string {
  return units == null ? "–" : grouped(textOf(BigInt(units), scale));
}

/** The same with its sign always written: profit and loss differ by more than colour. */
export function signedAmount(units: string | bigint | null | undefined, scale: number): string {
  if (units == null) return "–";
  const value = BigInt(units);
  return (value > 0n ? "+" : "") + amount(value, scale);
}

/** Return a rate in per cent, rounded to so many decimals, with its sign. */
export function percent(text: string | null | undefined, decimals: number): string {
  if (text == null) return "–";
  const { units, scale } = decimal(text);
  const rounded = roundDiv(units * 100n * 10n ** BigInt(decimals), 10n ** BigInt(scale));
  return `${rounded > 0n ? "+" : ""}${grouped(textOf(rounded, decimals))}%`;
}

/** Return "−", "+" or "" for a number: which way it points. */
export function direction(text: string | bigint | null | undefined): "up" | "down" | "flat" {
  if (text == null) return "flat";
  const units = typeof text === "bigint" ? text : decimal(text).units;
  return units > 0n ? "up" : units < 0n ? "down" : "flat";
}

/** Return hours, minutes and seconds until then; "now" when it is past. */
export function countdown(milliseconds: number): string {
  if (milliseconds <= 0) return "now";
  const seconds = Math.floor(milliseconds / 1000);
  const two = (value: number): string => value.toString().padStart(2, "0");
  return `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
}

/** Return the time of day of a timestamp of the API, in UTC as the exchange counts. */
export const clock = (timestamp: string | null): string => timestamp?.slice(11, 19) ?? "–";

export const dayAndClock = (timestamp: string | null): string =>
  timestamp ? `${timestamp.slice(5, 10)} ${timestamp.slice(11, 19)}` : "–";
