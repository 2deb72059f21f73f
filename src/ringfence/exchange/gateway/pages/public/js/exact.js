/** Numbers as they were sent. JSON.parse would make doubles of them; here each stays the text that it was. */

const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** Return the JSON value with every number as its own text. Throws SyntaxError. */
export function parseExact(text) {
  return JSON.parse(text.replace(TOKEN, (token) => (token[0] === '"' ? token : `"${token}"`)));
}

/** Ledger units: the wire's name of an asset's smallest unit, the coin's name and how many decimals lie between. */
const ASSETS = {
  XBt: ["XBT", 8], USDt: ["USDT", 6], Gwei: ["ETH", 9], LAMPORT: ["SOL", 9], Litoshi: ["LTC", 8], DROP: ["XRP", 6],
};

export const coinOf = (currency) => (ASSETS[currency] ?? [currency, 0])[0];
export const scaleOf = (currency) => (ASSETS[currency] ?? [currency, 0])[1];

/** Return whole units as coins, exactly: "150000000" of scale 8 is "1.5". */
export function decimal(units, scale) {
  if (units === null || units === undefined) return "–";
  const sign = units.startsWith("-") ? "−" : "";
  const digits = units.replace("-", "").padStart(scale + 1, "0");
  const whole = digits.slice(0, digits.length - scale).replace(/^0+(?=\d)/, "");
  const rest = scale ? digits.slice(digits.length - scale).replace(/0+$/, "") : "";
  return sign + grouped(whole) + (rest ? `.${rest}` : "");
}

/** Return an amount of a currency's ledger units as coins with their name. */
export const coins = (units, currency) => `${decimal(units, scaleOf(currency))} ${coinOf(currency)}`;

/** Put a thin space between thousands. */
export function grouped(digits) {
  if (digits === null || digits === undefined) return "–";
  const [whole, rest] = digits.split(".");
  return whole.replace(/\B(?=(\d{3})+$)/g, "\u202f") + (rest === undefined ? "" : `.${rest}`);
}

/** Return a share of text such as "0.0001" or "1E-4" in per cent, by moving its point. */
export function percent(share) {
  if (share === null || share === undefined) return "–";
  const found = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(share);
  if (!found) return share;
  const [, sign, whole, rest = "", exponent = "0"] = found;
  let point = whole.length + Number(exponent) + 2;
  let digits = whole + rest;
  if (point < 1) { digits = "0".repeat(1 - point) + digits; point = 1; }
  digits = digits.padEnd(point, "0");
  const before = digits.slice(0, point).replace(/^0+(?=\d)/, "");
  const after = digits.slice(point).replace(/0+$/, "");
  return `${sign ? "−" : ""}${before}${after ? `.${after}` : ""} %`;
}

/** Return parts per million as per cent. */
export const ofMillion = (ppm) => `${decimal(ppm.toString(), 4)} %`;
