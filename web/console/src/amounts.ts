/** Amounts for people. The scales are written here and not asked for: who lies about a point lies about an amount. */

const COINS: Record<string, { coin: string; scale: number }> = {
  XBt: { coin: "XBT", scale: 8 }, USDt: { coin: "USDT", scale: 6 }, Gwei: { coin: "ETH", scale: 9 },
  LAMPORT: { coin: "SOL", scale: 9 }, Litoshi: { coin: "LTC", scale: 8 }, DROP: { coin: "XRP", scale: 6 },
};

export const grouped = (digits: string): string => digits.replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");

/** Return an amount in whole coins, exactly. */
export function inCoins(amount: string, currency: string): string {
  const known = COINS[currency];
  if (!known || !/^-?\d+$/.test(amount)) return `${amount} ${currency}`;
  const digits = amount.replace("-", "").padStart(known.scale + 1, "0");
  const whole = digits.slice(0, -known.scale);
  const rest = digits.slice(-known.scale).replace(/0+$/, "");
  return `${amount.startsWith("-") ? "−" : ""}${grouped(whole)}${rest ? `.${rest}` : ""} ${known.coin}`;
}

export const inUnits = (amount: string, currency: string): string => `${grouped(amount)} ${currency}`;

export const when = (iso: string): string => iso.replace("T", " ").replace(/\.\d+Z$/, " UTC");
