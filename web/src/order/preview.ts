/** What an order would cost and where its position would be liquidated, before it is sent.
 *
 * The engine decides; this computes the same from what the API shows, in integers. A market order is priced by walking
 * the book. Where something is not known, nothing is said.
 */

import type { Margin, Position, Side } from "../api/rows.ts";
import type { Book } from "../market/book.ts";
import { Contract, costOf, feeOf, ppm, share, ticksOf } from "../market/contract.ts";
import { abs, ceilDiv, decimal, max, roundDiv } from "../numbers/decimal.ts";
import { plain, type Draft } from "./draft.ts";
import { KINDS } from "./kinds.ts";

const COLLAR_PERCENT = 5;

export interface Preview {
  /** The price at which it is counted, in ticks; of a market order the average, rounded. */
  readonly ticks: number;
  readonly value: bigint;
  /** What it locks of the available balance on entry, or would when it is triggered. */
  readonly cost: bigint;
  readonly fee: bigint;
  /** It may rest: then this is the maker's fee. */
  readonly makerFee: bigint | null;
  readonly waits: boolean;
  /** What the book could not fill. */
  readonly unfilled: bigint;
  /** Position after it is filled. */
  readonly qty: bigint;
  /** null: no position is left, or it is not known who asks; 0: no price of the book is that far. */
  readonly liquidation: number | null;
}

/** What is held of the contract; nothing if the account never touched it. */
export interface Held {
  readonly qty: bigint;
  readonly cost: bigint;
  readonly openBuys: bigint;
  readonly openSells: bigint;
  /** In hundredths; 0 = cross. */
  readonly leverage: bigint;
  readonly initialPpm: bigint;
  readonly maintenancePpm: bigint;
  readonly transferred: bigint;
}

export function heldOf(contract: Contract, row: Position | undefined): Held {
  if (!row) {
    return {
      qty: 0n, cost: 0n, openBuys: 0n, openSells: 0n, leverage: 0n, initialPpm: contract.initialPpm,
      maintenancePpm: contract.maintenancePpm, transferred: 0n,
    };
  }
  const leverage = decimal(row.leverage);
  return {
    qty: BigInt(row.currentQty),
    cost: costOf(contract, row.posCost),
    openBuys: abs(BigInt(row.openOrderBuyCost)),
    openSells: abs(BigInt(row.openOrderSellCost)),
    leverage: row.crossMargin ? 0n : (leverage.units * 100n) / 10n ** BigInt(leverage.scale),
    initialPpm: ppm(row.initMarginReq),
    maintenancePpm: ppm(row.maintMarginReq),
    transferred: BigInt(row.posCross),
  };
}

/** Return the preview; null while it cannot be known. */
export function preview(
  draft: Draft, side: Side, contract: Contract, book: Book, position: Position | undefined,
  others: readonly Position[], margin: Margin | undefined,
): Preview | null {
  const held = heldOf(contract, position);
  const qty = quantityOf(draft, contract, held);
  if (qty === null) return null;
  const counted = countedAt(draft, side, contract, book, qty);
  if (counted === null) return null;
  const { fills, waits, rests, unfilled } = counted;
  const value = fills.reduce((sum, fill) => sum + contract.value(fill.ticks, fill.qty), 0n);
  const filled = fills.reduce((sum, fill) => sum + fill.qty, 0n);
  if (filled === 0n) return null;
  const ticks = Number(roundDiv(fills.reduce((sum, fill) => sum + BigInt(fill.ticks) * fill.qty, 0n), filled));
  const fee = feeOf(value, contract.takerPpm);
  const makerFee = rests ? feeOf(value, contract.makerPpm) : null;
  if (contract.isSpot) {
    const cost = side === "Buy" ? value + share(value, max(contract.takerPpm, 0n)) : filled;
    return { ticks, value, cost, fee, makerFee, waits, unfilled, qty: 0n, liquidation: null };
  }
  const closes = draft.closes || draft.reduceOnly;
  const cost = closes ? 0n : margined(held, contract, side, value) + lossAtMark(contract, side, value, filled);
  const after = filledPosition(held, side, filled, value);
  const liquidation = after.qty === 0n ? null : liquidationOf(contract, held, after, others, margin, fee);
  return { ticks, value, cost, fee, makerFee, waits, unfilled, qty: after.qty, liquidation };
}

function quantityOf(draft: Draft, contract: Contract, held: Held): bigint | null {
  const text = plain(draft.qty);
  if (text === "" && draft.closes && held.qty !== 0n) return abs(held.qty);
  if (!/^\d+$/.test(text)) return null;
  const qty = BigInt(text);
  return qty > 0n && qty % contract.lotSize === 0n ? qty : null;
}

interface Counted {
  readonly fills: readonly { ticks: number; qty: bigint }[];
  readonly waits: boolean;
  readonly rests: boolean;
  readonly unfilled: bigint;
}

/** Return the prices at which an order is counted: its own, that of its trigger, or the book's. */
function countedAt(draft: Draft, side: Side, contract: Contract, book: Book, qty: bigint): Counted | null {
  const needs = KINDS[draft.kind];
  const waits = needs.trigger;
  if (needs.price || needs.stop) {
    const ticks = ticksOf(plain(needs.price ? draft.price : draft.stop), contract.tick);
    return ticks === null || ticks < 1 ? null : { fills: [{ ticks, qty }], waits, rests: needs.rests, unfilled: 0n };
  }
  const bid = book.best("Buy");
  const ask = book.best("Sell");
  if (draft.kind === "Market") {
    const touch = side === "Buy" ? ask : bid;
    if (touch === null) return null;
    const reach = side === "Buy" ? 100 + COLLAR_PERCENT : 100 - COLLAR_PERCENT;
    const fills = book.sweep(side, qty, Math.floor((touch * reach) / 100));
    const filled = fills.reduce((sum, fill) => sum + fill.qty, 0n);
    return { fills, waits, rests: false, unfilled: qty - filled };
  }
  const typed = plain(draft.offset);
  const offset = typed === "" && draft.kind === "Pegged" ? 0 : ticksOf(typed, contract.tick);
  const near = (draft.peg === "PrimaryPeg") === (side === "Buy") ? bid : ask;
  const from = draft.kind === "Pegged" ? near : side === "Buy" ? ask : bid;
  if (offset === null || from === null) return null;
  const away = draft.kind === "Trailing" ? (side === "Sell" ? -Math.abs(offset) : Math.abs(offset)) : offset;
  return from + away < 1 ? null : { fills: [{ ticks: from + away, qty }], waits, rests: needs.rests, unfilled: 0n };
}

/** Return what the order locks beside what is locked already: the worse of all bids and all asks filling. */
function margined(held: Held, contract: Contract, side: Side, value: bigint): bigint {
  const rate = held.initialPpm + 2n * max(contract.takerPpm, 0n);
  const locked = (buys: bigint, sells: bigint): bigint =>
    share(max(held.cost + buys, sells - held.cost, abs(held.cost)) - abs(held.cost), rate);
  const buys = held.openBuys + (side === "Buy" ? value : 0n);
  const sells = held.openSells + (side === "Sell" ? value : 0n);
  return locked(buys, sells) - locked(held.openBuys, held.openSells);
}

/** Return what filling it would lose against the mark at once. */
function lossAtMark(contract: Contract, side: Side, value: bigint, qty: bigint): bigint {
  const mark = contract.instrument.markPrice;
  if (mark === null) return 0n;
  const sign = side === "Buy" ? 1n : -1n;
  return max(-contract.profit(sign * value, sign * contract.markValue(mark, qty)), 0n);
}

/** Return quantity and cost after a fill; one that goes through zero closes first and opens the rest at its price. */
function filledPosition(held: Held, side: Side, filled: bigint, value: bigint): { qty: bigint; cost: bigint } {
  const sign = side === "Buy" ? 1n : -1n;
  const qty = held.qty + sign * filled;
  if (held.qty === 0n || held.qty > 0n === (sign > 0n)) return { qty, cost: held.cost + sign * value };
  const open = abs(held.qty);
  if (filled <= open) return { qty, cost: held.cost - (held.cost * filled) / open };
  return { qty, cost: sign * (value - (value * open) / filled) };
}

function liquidationOf(
  contract: Contract, held: Held, after: { qty: bigint; cost: bigint }, others: readonly Position[],
  margin: Margin | undefined, fee: bigint,
): number | null {
  const exposure = abs(after.cost);
  const funding = contract.instrument.fundingRate === null ? 0n : ppm(contract.instrument.fundingRate);
  const pays = max(after.cost > 0n ? funding : -funding, 0n);
  let needs = share(exposure, held.maintenancePpm + pays);
  let has: bigint;
  if (held.leverage > 0n) {
    const initial = ceilDiv(exposure * 100n, held.leverage);
    const exit = share(exposure + initial, max(contract.takerPpm, 0n));
    const kept = held.qty !== 0n && held.qty > 0n === after.qty > 0n ? held.transferred : 0n;
    has = initial + exit + kept;
    needs += exit;
  } else {
    if (!margin) return null;
    has = BigInt(margin.walletBalance) - fee;
    for (const other of others) {
      if (BigInt(other.currentQty) === 0n) continue;
      if (!other.crossMargin) {
        has -= BigInt(other.posMargin);
        continue;
      }
      has += BigInt(other.unrealisedPnl);
      needs += BigInt(other.posMaint);
    }
  }
  const gain = needs - has;
  const rises = after.cost > 0n !== contract.isInverse;
  return contract.ticksOfValue(after.qty, rises ? exposure + gain : exposure - gain) ?? 0;
}
