import { expect, test } from "vitest";
import type { Bin, Trade } from "../api/rows.ts";
import { barOf, withTrade } from "./candles.ts";

const trade = (timestamp: string, price: string, size = "10"): Trade =>
  ({ timestamp, price, size, side: "Buy", trdMatchID: "", symbol: "XBTUSD" });

test("a bin is stamped with its end, a bar with its beginning", () => {
  const bin: Bin = { timestamp: "2026-11-30T12:01:00.000Z", symbol: "XBTUSD", open: "1.0", high: "3.0", low: "0.5", close: "2.0", volume: "7" };
  expect(barOf(bin, "1m")).toEqual({ time: Date.UTC(2026, 10, 30, 12) / 1000, open: 1, high: 3, low: 0.5, close: 2, volume: 7 });
  expect(barOf({ ...bin, open: null }, "1m")).toBeNull();
});

test("trades change the running bar and begin the next where it closed", () => {
  const first = withTrade(undefined, trade("2026-11-30T12:00:10.000Z", "5"), "1m");
  const second = withTrade(first, trade("2026-11-30T12:00:59.999Z", "3"), "1m");
  expect(second).toMatchObject({ open: 5, high: 5, low: 3, close: 3, volume: 20 });
  const third = withTrade(second, trade("2026-11-30T12:01:00.000Z", "4"), "1m");
  expect(third).toMatchObject({ open: 3, high: 4, low: 3, close: 4, volume: 10, time: (second?.time ?? 0) + 60 });
  expect(withTrade(third, trade("2026-11-30T12:00:59.000Z", "9"), "1m")).toBe(third);
});
