import { expect, test } from "vitest";
import type { Margin, Position } from "../api/rows.ts";
import { Book } from "../market/book.ts";
import { Contract, priceText, ticksOf } from "../market/contract.ts";
import { bracket, EMPTY, request, type Draft } from "./draft.ts";
import { ETHUSD, SPOT, XBTUSD, XBTUSDT } from "./listed.ts";
import { preview } from "./preview.ts";

const xbtusd = new Contract(XBTUSD, null);
const draft = (some: Partial<Draft>): Draft => ({ ...EMPTY, ...some });

function book(contract: Contract): Book {
  const made = new Book(contract.tick);
  made.apply("partial", [
    { id: "1", side: "Sell", size: "5000", price: "100010.0" }, { id: "2", side: "Sell", size: "10000", price: "100000.0" },
    { id: "3", side: "Buy", size: "10000", price: "99990.0" },
  ]);
  return made;
}

function position(some: Partial<Position>): Position {
  return {
    symbol: "XBTUSD", currency: "XBt", currentQty: "0", leverage: "100", crossMargin: true, isOpen: false, initMarginReq: "0.01",
    maintMarginReq: "0.005", riskLimit: "20000000000", posCost: "0", posCross: "0", posMargin: "0", posMaint: "0",
    openOrderBuyCost: "0", openOrderSellCost: "0", unrealisedPnl: "0", realisedPnl: "0", maintMargin: "0", markValue: "0",
    avgEntryPrice: null, markPrice: null, liquidationPrice: null, bankruptPrice: null, breakEvenPrice: null,
    deleveragePercentile: null, unrealisedRoePcnt: null, ...some,
  };
}

const margin = (walletBalance: string): Margin => ({
  currency: "XBt", walletBalance, unrealisedPnl: "0", marginBalance: walletBalance, initMargin: "0", maintMargin: "0",
  availableMargin: walletBalance, withdrawableMargin: walletBalance,
});

test("contracts are worth what docs/reference/contracts.md says", () => {
  expect(xbtusd.lotValue(1_000_000)).toBe(100_000n);
  expect(xbtusd.value(1_000_005, 500n)).toBe(500_000n);
  expect(new Contract(XBTUSDT, null).value(1_000_000, 100n)).toBe(10_000_000n);
  expect(new Contract(ETHUSD, null).value(70_000, 1n)).toBe(350_000n);
  expect(new Contract(SPOT, null).value(1_000_000, 1_000n)).toBe(1_000_000n);
  const cost = xbtusd.value(1_000_000, 10_000n);
  expect(xbtusd.profit(cost, xbtusd.markValue("110000.00", 10_000n))).toBe(909_100n);
});

test("ten times long from 100 000 is liquidated at 91 324.3, as the reference says", () => {
  const held = position({ crossMargin: false, leverage: "10", initMarginReq: "0.1" });
  const typed = draft({ qty: "10,000", price: "100000" });
  const found = preview(typed, "Buy", xbtusd, book(xbtusd), held, [], margin("100000000"));
  expect(found?.value).toBe(10_000_000n);
  expect(found?.qty).toBe(10_000n);
  expect(priceText(found?.liquidation ?? 0, xbtusd.tick)).toBe("91324.3");
});

test("a cross order locks initial margin and the fee both ways; one that only reduces locks nothing", () => {
  const typed = draft({ qty: "10000", price: "100000" });
  expect(preview(typed, "Buy", xbtusd, book(xbtusd), undefined, [], margin("100000000"))?.cost).toBe(115_000n);
  const held = position({ currentQty: "10000", posCost: "-10000000" });
  const closing = preview(typed, "Sell", xbtusd, book(xbtusd), held, [], margin("100000000"));
  expect([closing?.cost, closing?.qty, closing?.liquidation]).toEqual([0n, 0n, null]);
});

test("a bid above the mark costs at once what it would lose", () => {
  const marked = new Contract({ ...XBTUSD, markPrice: "99000.00" }, null);
  const found = preview(draft({ qty: "10000", price: "100000" }), "Buy", marked, book(marked), undefined, [], margin("1"));
  expect(found?.cost).toBe(115_000n + 101_000n);
});

test("a market order walks the book and says what it does not fill", () => {
  const found = preview(draft({ kind: "Market", qty: "20000" }), "Buy", xbtusd, book(xbtusd), undefined, [], margin("100000000"));
  expect(found?.value).toBe(10_000_000n + 50n * 99_990n);
  expect([found?.unfilled, found?.qty, found?.makerFee]).toEqual([5_000n, 15_000n, null]);
});

test("half a lot, no lot and no price give no preview", () => {
  for (const some of [{ qty: "150", price: "1" }, { qty: "", price: "1" }, { qty: "100", price: "" }, { qty: "100", price: "1.05" }]) {
    expect(preview(draft(some), "Buy", xbtusd, book(xbtusd), undefined, [], undefined)).toBeNull();
  }
});

test("prices between ticks are seen", () => {
  expect(ticksOf("100000.5", xbtusd.tick)).toBe(1_000_005);
  expect(ticksOf("100000.55", xbtusd.tick)).toBeNull();
});

test("requests say what the chosen kind has and nothing else", () => {
  const all: Partial<Draft> = { qty: "1,000", price: "9 000.5", stop: "8000", offset: "25", postOnly: true, shows: "none", reduceOnly: true };
  expect(request(draft({ ...all, kind: "Limit" }), "XBTUSD", "Buy", false)).toEqual({
    symbol: "XBTUSD", side: "Buy", ordType: "Limit", orderQty: "1000", price: "9000.5", displayQty: "0",
    execInst: "ParticipateDoNotInitiate,ReduceOnly", timeInForce: "GoodTillCancel",
  });
  expect(request(draft({ ...all, kind: "Market", closes: true, qty: "" }), "XBTUSD", "Sell", false)).toEqual({
    symbol: "XBTUSD", side: "Sell", ordType: "Market", orderQty: null, execInst: "Close",
  });
  expect(request(draft({ ...all, kind: "Trailing", trigger: "LastPrice", withinMark: true }), "XBTUSD", "Sell", false)).toEqual({
    symbol: "XBTUSD", side: "Sell", ordType: "Stop", orderQty: "1000", execInst: "ReduceOnly,LastPrice,LastWithinMark",
    pegPriceType: "TrailingStopPeg", pegOffsetValue: "-25",
  });
  expect(request(draft({ kind: "Pegged", qty: "100", peg: "MarketPeg" }), "XBT_USDT", "Buy", true)).toEqual({
    symbol: "XBT_USDT", side: "Buy", ordType: "Pegged", orderQty: "100", execInst: "Fixed", pegPriceType: "MarketPeg",
    pegOffsetValue: null, timeInForce: "GoodTillCancel",
  });
  expect(request(draft({ kind: "StopLimit", qty: "100", price: "1", stop: "2" }), "XBT_USDT", "Buy", true)).toMatchObject({
    ordType: "StopLimit", stopPx: "2", price: "1", execInst: "LastPrice",
  });
});

test("a bracket is the order, then what stops a loss and what takes profit, of which one cancels the other", () => {
  const typed = draft({ kind: "Limit", qty: "1,000", price: "99000", profit: "101,000", loss: "98000" });
  const closing = { symbol: "XBTUSD", side: "Sell", orderQty: "1000", execInst: "MarkPrice,ReduceOnly", clOrdLinkID: "7", contingencyType: "OneCancelsTheOther" };
  expect(bracket(typed, "XBTUSD", "Buy", false, "7")).toEqual([
    { ...request(typed, "XBTUSD", "Buy", false), clOrdLinkID: "7", contingencyType: "OneTriggersTheOther" },
    { ...closing, ordType: "Stop", stopPx: "98000" },
    { ...closing, ordType: "MarketIfTouched", stopPx: "101000" },
  ]);
});

test.each([
  ["without prices for it", { kind: "Limit" }], ["where the order only closes", { kind: "Market", closes: true, loss: "98000" }],
  ["where the order waits itself", { kind: "Stop", stop: "99000", loss: "98000" }],
] as const)("there is no bracket %s", (_, some) => {
  const typed = draft({ qty: "100", price: "99000", ...some });
  expect(bracket(typed, "XBTUSD", "Sell", false, "7")).toEqual([request(typed, "XBTUSD", "Sell", false)]);
  expect(bracket(draft({ kind: "Limit", qty: "1000", loss: "9" }), "XBT_USDT", "Buy", true, "7")).toHaveLength(1);
});
