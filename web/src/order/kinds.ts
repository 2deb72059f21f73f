/** The kinds of order that the API has, and which fields each needs. */

export type Kind =
  | "Limit" | "Market" | "Stop" | "StopLimit" | "MarketIfTouched" | "LimitIfTouched" | "Trailing" | "Pegged";

export interface Needs {
  readonly label: string;
  readonly price: boolean;
  readonly stop: boolean;
  readonly offset: boolean;
  /** What triggers it may be chosen. */
  readonly trigger: boolean;
  /** It may rest in the book: post-only, iceberg and time in force mean something. */
  readonly rests: boolean;
  readonly help: string;
}

const plain = { price: false, stop: false, offset: false, trigger: false, rests: false };

export const KINDS: Readonly<Record<Kind, Needs>> = {
  Limit: { ...plain, label: "Limit", price: true, rests: true, help: "Trades at this price or better, and rests until then." },
  Market: { ...plain, label: "Market", help: "Trades now at what the book offers, at most 5 % from it." },
  Stop: { ...plain, label: "Stop market", stop: true, trigger: true, help: "Becomes a market order when the price moves against you to the stop price." },
  StopLimit: { ...plain, label: "Stop limit", price: true, stop: true, trigger: true, rests: true, help: "Becomes a limit order when the price moves against you to the stop price." },
  MarketIfTouched: { ...plain, label: "Market if touched", stop: true, trigger: true, help: "Becomes a market order when the price comes your way: takes profit." },
  LimitIfTouched: { ...plain, label: "Limit if touched", price: true, stop: true, trigger: true, rests: true, help: "Becomes a limit order when the price comes your way: takes profit." },
  Trailing: { ...plain, label: "Trailing stop", offset: true, trigger: true, help: "A stop that follows the price at this distance and never goes back." },
  Pegged: { ...plain, label: "Pegged", offset: true, rests: true, help: "A limit order whose price is found from the book once, on entry." },
};

export const TIMES = {
  GoodTillCancel: "Good till cancelled",
  Day: "Day",
  ImmediateOrCancel: "Immediate or cancel",
  FillOrKill: "Fill or kill",
} as const;
export type TimeInForce = keyof typeof TIMES;

export const TRIGGERS = { MarkPrice: "Mark", LastPrice: "Last", IndexPrice: "Index" } as const;
export type Trigger = keyof typeof TRIGGERS;
