/** Bins of time as a chart draws them: a bin of the API is stamped with its end, a bar with its beginning. */

import type { Bin, Trade } from "../api/rows.ts";

export const SIZES = { "1m": 60, "5m": 300, "1h": 3_600, "1d": 86_400 } as const;
export type Size = keyof typeof SIZES;

/** Floats, because they are drawn and never added. */
export interface Bar {
  readonly time: number;
  readonly open: number;
  readonly high: number;
  readonly low: number;
  readonly close: number;
  readonly volume: number;
}

export function barOf(bin: Bin, size: Size): Bar | null {
  if (bin.open === null || bin.high === null || bin.low === null || bin.close === null) return null;
  return {
    time: Date.parse(bin.timestamp) / 1000 - SIZES[size], open: Number(bin.open), high: Number(bin.high),
    low: Number(bin.low), close: Number(bin.close), volume: Number(bin.volume),
  };
}

/** Return the bar after a trade: the running one, changed, or a new one. */
export function withTrade(running: Bar | undefined, trade: Trade, size: Size): Bar | undefined {
  const time = startOf(Date.parse(trade.timestamp) / 1000, size);
  const price = Number(trade.price);
  const volume = Number(trade.size);
  if (running && time < running.time) return running;
  if (!running || time > running.time) {
    const open = running?.close ?? price;
    return { time, open, high: Math.max(open, price), low: Math.min(open, price), close: price, volume };
  }
  return {
    ...running, high: Math.max(running.high, price), low: Math.min(running.low, price), close: price,
    volume: running.volume + volume,
  };
}

export const startOf = (seconds: number, size: Size): number => Math.floor(seconds / SIZES[size]) * SIZES[size];
