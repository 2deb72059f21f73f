/** What somebody typed into the ticket, and the request that it becomes. */

import type { Side } from "../api/rows.ts";
import type { Parameters } from "../api/rest.ts";
import { KINDS, type Kind, type TimeInForce, type Trigger } from "./kinds.ts";

export interface Draft {
  kind: Kind;
  qty: string;
  price: string;
  stop: string;
  offset: string;
  peg: "PrimaryPeg" | "MarketPeg";
  trigger: Trigger;
  withinMark: boolean;
  time: TimeInForce;
  postOnly: boolean;
  reduceOnly: boolean;
  closes: boolean;
  shows: "all" | "part" | "none";
  display: string;
  /** Prices at which what was bought is sold again, or bought back: at a profit, at a loss. Empty: none. */
  profit: string;
  loss: string;
}

export const EMPTY: Draft = {
  kind: "Limit", qty: "", price: "", stop: "", offset: "", peg: "PrimaryPeg", trigger: "MarkPrice", withinMark: false,
  time: "GoodTillCancel", postOnly: false, reduceOnly: false, closes: false, shows: "all", display: "",
  profit: "", loss: "",
};

/** Return the parameters of POST /order. The API judges them: only what the chosen kind does not have is left out. */
export function request(draft: Draft, symbol: string, side: Side, isSpot: boolean): Parameters {
  const needs = KINDS[draft.kind];
  const words: string[] = [];
  if (needs.rests && draft.postOnly) words.push("ParticipateDoNotInitiate");
  if (draft.closes && !isSpot) words.push("Close");
  else if (draft.reduceOnly && !isSpot) words.push("ReduceOnly");
  if (draft.kind === "Pegged") words.push("Fixed");
  if (needs.trigger) {
    words.push(isSpot ? "LastPrice" : draft.trigger);
    if (draft.trigger === "LastPrice" && draft.withinMark && !isSpot) words.push("LastWithinMark");
  }
  const wanted: Record<string, string | null> = {
    symbol, side, ordType: draft.kind === "Trailing" ? "Stop" : draft.kind,
    orderQty: plain(draft.qty) || null, execInst: words.join(",") || null,
  };
  if (needs.price) wanted["price"] = plain(draft.price);
  if (needs.stop) wanted["stopPx"] = plain(draft.stop);
  if (draft.kind === "Trailing") {
    wanted["pegPriceType"] = "TrailingStopPeg";
    wanted["pegOffsetValue"] = trailing(draft.offset, side);
  }
  if (draft.kind === "Pegged") {
    wanted["pegPriceType"] = draft.peg;
    wanted["pegOffsetValue"] = plain(draft.offset) || null;
  }
  if (needs.rests) {
    wanted["timeInForce"] = draft.time;
    if (draft.shows === "none") wanted["displayQty"] = "0";
    if (draft.shows === "part") wanted["displayQty"] = plain(draft.display);
  }
  return wanted;
}

/** Whether orders that close what this one opens can be sent with it. */
export const canBracket = (draft: Draft, isSpot: boolean): boolean =>
  (draft.kind === "Limit" || draft.kind === "Market") && !isSpot && !draft.closes && !draft.reduceOnly;

/** Return the requests of a bracket: the order itself, then those that wait for it to be filled, of which the first that
 * is triggered cancels the other: what limits the loss comes first. Without prices for them it is the order alone. `link` is theirs alone. */
export function bracket(draft: Draft, symbol: string, side: Side, isSpot: boolean, link: string): Parameters[] {
  const first = request(draft, symbol, side, isSpot);
  const [profit, loss] = [plain(draft.profit), plain(draft.loss)];
  if (!canBracket(draft, isSpot) || (!profit && !loss)) return [first];
  const closing = {
    symbol, side: side === "Buy" ? "Sell" : "Buy", orderQty: plain(draft.qty), execInst: "MarkPrice,ReduceOnly",
    clOrdLinkID: link, contingencyType: "OneCancelsTheOther",
  };
  return [
    { ...first, clOrdLinkID: link, contingencyType: "OneTriggersTheOther" },
    ...(loss ? [{ ...closing, ordType: "Stop", stopPx: loss }] : []),
    ...(profit ? [{ ...closing, ordType: "MarketIfTouched", stopPx: profit }] : []),
  ];
}

/** A stop that sells trails below the price, one that buys above it: people type a distance. */
function trailing(text: string, side: Side): string {
  const distance = plain(text).replace(/^[-+]/, "");
  return distance && side === "Sell" ? `-${distance}` : distance;
}

/** Return a number without the spaces and commas of digits in threes. */
export const plain = (text: string): string => text.replace(/[\s,]/g, "").replace("−", "-");
