/** Decimal numbers as they stand on the wire: an integer and how many of its digits are decimals. Never a float. */

export interface Decimal {
  readonly units: bigint;
  readonly scale: number;
}

const FORM = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,3}))?$/;

/** Return what a text says, null if it is no number. */
export function parseDecimal(text: string): Decimal | null {
  const found = FORM.exec(text.trim());
  if (!found) return null;
  const [, sign, whole = "", part = "", exponent = "0"] = found;
  if (whole + part === "") return null;
  let units = BigInt(whole + part);
  let scale = part.length - Number(exponent);
  if (scale < 0) {
    units *= 10n ** BigInt(-scale);
    scale = 0;
  }
  return { units: sign === "-" ? -units : units, scale };
}

/** Return the same for text that the API sent: there it is a mistake of ours if it is no number. */
export function decimal(text: string): Decimal {
  const found = parseDecimal(text);
  if (!found) throw new Error(`not a number: ${text}`);
  return found;
}

/** Return the integer at another scale; null if digits would be lost. */
export function unitsAt(value: Decimal, scale: number): bigint | null {
  if (scale >= value.scale) return value.units * 10n ** BigInt(scale - value.scale);
  const divisor = 10n ** BigInt(value.scale - scale);
  return value.units % divisor === 0n ? value.units / divisor : null;
}

/** Return the text of an integer with so many decimals, all of them written. */
export function textOf(units: bigint, scale: number): string {
  const digits = (units < 0n ? -units : units).toString().padStart(scale + 1, "0");
  const whole = digits.slice(0, digits.length - scale);
  const sign = units < 0n ? "-" : "";
  return scale ? `${sign}${whole}.${digits.slice(digits.length - scale)}` : sign + whole;
}

export const abs = (value: bigint): bigint => (value < 0n ? -value : value);

export const max = (first: bigint, ...others: bigint[]): bigint =>
  others.reduce((most, value) => (value > most ? value : most), first);

/** Divide and round up; the divisor is positive. */
export function ceilDiv(value: bigint, divisor: bigint): bigint {
  const quotient = value / divisor;
  return value % divisor > 0n ? quotient + 1n : quotient;
}

/** Divide and round to the nearest, halves away from zero; the divisor is positive. */
export function roundDiv(value: bigint, divisor: bigint): bigint {
  const rounded = (2n * abs(value) + divisor) / (2n * divisor);
  return value < 0n ? -rounded : rounded;
}
