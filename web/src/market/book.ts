/** One order book, kept from orderBookL2's partial and its changes. Prices are ticks, sizes whole numbers. */

import type { Action, BookRow, Side } from "../api/rows.ts";
import { ticksOf, type Tick } from "./contract.ts";

interface Level {
  readonly side: Side;
  readonly ticks: number;
  size: number;
}

/** A row as it is shown: a price, or all prices of a group. */
export interface Shown {
  readonly ticks: number;
  readonly size: number;
  /** What stands at this price and better. */
  readonly total: number;
}

export class Book {
  private readonly levels = new Map<string, Level>();
  /** Best first. */
  private readonly bids: Level[] = [];
  private readonly asks: Level[] = [];
  /** Ticks by side that changed since somebody took them. */
  private changed: Record<Side, Set<number>> = { Buy: new Set(), Sell: new Set() };
  /** Nothing is shown before the partial. */
  isThere = false;

  constructor(private readonly tick: Tick) {}

  apply(action: Action, rows: readonly BookRow[]): void {
    if (action === "partial") {
      this.levels.clear();
      this.bids.length = this.asks.length = 0;
      this.isThere = true;
      for (const row of rows) this.insert(row);
      this.takeChanged();
      return;
    }
    if (!this.isThere) return;
    for (const row of rows) {
      const level = this.levels.get(row.id);
      if (action === "delete") {
        if (level) this.remove(row.id, level);
      } else if (level) {
        level.size = whole(row.size);
        this.changed[level.side].add(level.ticks);
      } else {
        this.insert(row);
      }
    }
  }

  best(side: Side): number | null {
    return this.side(side)[0]?.ticks ?? null;
  }

  /** Return the best `count` rows of a side; bids are grouped down and asks up, so that no row looks better than it is. */
  shown(side: Side, count: number, group: number): Shown[] {
    const rows: { ticks: number; size: number; total: number }[] = [];
    let total = 0;
    for (const level of this.side(side)) {
      const ticks = groupOf(level.ticks, side, group);
      const last = rows[rows.length - 1];
      if (last?.ticks === ticks) {
        last.size += level.size;
        last.total = total += level.size;
      } else {
        if (rows.length === count) break;
        rows.push({ ticks, size: level.size, total: (total += level.size) });
      }
    }
    return rows;
  }

  /** Return all levels of a side within so many ticks of a price, best first. */
  within(side: Side, from: number, distance: number): { ticks: number; size: number }[] {
    const found: { ticks: number; size: number }[] = [];
    for (const { ticks, size } of this.side(side)) {
      if (Math.abs(ticks - from) > distance) break;
      found.push({ ticks, size });
    }
    return found;
  }

  /** Return what a market order would get: lots at each price until it is filled or `limit` is reached. */
  sweep(side: Side, qty: bigint, limit: number): { ticks: number; qty: bigint }[] {
    const fills: { ticks: number; qty: bigint }[] = [];
    let left = qty;
    for (const level of this.side(side === "Buy" ? "Sell" : "Buy")) {
      if (left === 0n || (side === "Buy" ? level.ticks > limit : level.ticks < limit)) break;
      const size = BigInt(level.size);
      const taken = size < left ? size : left;
      fills.push({ ticks: level.ticks, qty: taken });
      left -= taken;
    }
    return fills;
  }

  takeChanged(): Record<Side, ReadonlySet<number>> {
    const { changed } = this;
    this.changed = { Buy: new Set(), Sell: new Set() };
    return changed;
  }

  get hasChanged(): boolean {
    return this.changed.Buy.size + this.changed.Sell.size > 0;
  }

  private side(side: Side): Level[] {
    return side === "Buy" ? this.bids : this.asks;
  }

  private insert(row: BookRow): void {
    const ticks = ticksOf(row.price, this.tick);
    if (ticks === null) throw new Error(`a price of the book lies between ticks: ${row.price}`);
    const level: Level = { side: row.side, ticks, size: whole(row.size) };
    const levels = this.side(row.side);
    levels.splice(place(levels, level), 0, level);
    this.levels.set(row.id, level);
    this.changed[row.side].add(ticks);
  }

  private remove(id: string, level: Level): void {
    this.levels.delete(id);
    const levels = this.side(level.side);
    levels.splice(place(levels, level), 1);
    this.changed[level.side].add(level.ticks);
  }
}

/** Return the price of the group in which a level is shown, in ticks. */
export function groupOf(ticks: number, side: Side, group: number): number {
  return (side === "Buy" ? Math.floor(ticks / group) : Math.ceil(ticks / group)) * group;
}

/** Return the groupings that are offered, in ticks: one, and round numbers above it. */
export function groupings(tick: Tick): number[] {
  const ones = [1n, 2n, 5n];
  const found = [1];
  for (let power = 1n; found.length < 8; power *= 10n) {
    for (const one of ones) {
      // One of 1, 2 or 5 times a power of ten of the tick's last decimal, if it is whole ticks.
      const step = one * power;
      if (step > tick.units && step % tick.units === 0n && found.length < 8) found.push(Number(step / tick.units));
    }
  }
  return found;
}

/** Return where a level stands, or would stand, among levels that are sorted best first. */
function place(levels: readonly Level[], level: Level): number {
  let low = 0;
  let high = levels.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const other = levels[middle] as Level;
    const isBetter = level.side === "Buy" ? other.ticks > level.ticks : other.ticks < level.ticks;
    if (isBetter) low = middle + 1;
    else high = middle;
  }
  return low;
}

function whole(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new Error(`not a whole number that a float holds: ${text}`);
  return value;
}
