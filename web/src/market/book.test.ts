import { expect, test } from "vitest";
import type { BookRow, Side } from "../api/rows.ts";
import { Book, groupings, groupOf } from "./book.ts";

const TICK = { units: 5n, scale: 1 };
const row = (id: string, side: Side, size: string, price: string): BookRow => ({ id, side, size, price });

function book(): Book {
  const made = new Book(TICK);
  made.apply("partial", [
    row("1", "Sell", "30", "101.0"), row("2", "Sell", "10", "100.5"), row("3", "Buy", "20", "100.0"), row("4", "Buy", "5", "98.5"),
  ]);
  return made;
}

test("a partial is the whole book, best first, with what stands at a price and better", () => {
  const made = book();
  expect(made.shown("Sell", 5, 1)).toEqual([{ ticks: 201, size: 10, total: 10 }, { ticks: 202, size: 30, total: 40 }]);
  expect(made.shown("Buy", 1, 1)).toEqual([{ ticks: 200, size: 20, total: 20 }]);
});

test("inserts, updates and deletes leave what a new partial would say", () => {
  const made = book();
  made.apply("insert", [row("5", "Buy", "7", "99.0")]);
  made.apply("update", [row("3", "Buy", "25", "100.0")]);
  made.apply("delete", [{ id: "2", side: "Sell", price: "100.5" } as BookRow, { id: "unknown", side: "Buy", price: "1" } as BookRow]);
  expect(made.shown("Buy", 9, 1).map(({ ticks, size }) => [ticks, size])).toEqual([[200, 25], [198, 7], [197, 5]]);
  expect(made.best("Sell")).toBe(202);
  const changed = made.takeChanged();
  expect([[...changed.Buy].sort(), [...changed.Sell]]).toEqual([[198, 200], [201]]);
  expect(made.takeChanged().Buy.size).toBe(0);
});

test("changes before the partial are dropped, and a new partial replaces everything", () => {
  const made = new Book(TICK);
  made.apply("insert", [row("1", "Buy", "1", "100.0")]);
  expect(made.best("Buy")).toBeNull();
  const other = book();
  other.apply("partial", [row("9", "Buy", "1", "50.0")]);
  expect([other.best("Buy"), other.best("Sell")]).toEqual([100, null]);
});

test("groups never make a price look better than it is", () => {
  expect([groupOf(203, "Buy", 10), groupOf(203, "Sell", 10), groupOf(200, "Sell", 10)]).toEqual([200, 210, 200]);
  expect(book().shown("Sell", 5, 10)).toEqual([{ ticks: 210, size: 40, total: 40 }]);
  expect(groupings(TICK)).toEqual([1, 2, 4, 10, 20, 40, 100, 200]);
  expect(groupings({ units: 1n, scale: 1 })).toEqual([1, 2, 5, 10, 20, 50, 100, 200]);
});

test("a sweep takes lots from the best price on, up to its limit", () => {
  expect(book().sweep("Buy", 25n, 999)).toEqual([{ ticks: 201, qty: 10n }, { ticks: 202, qty: 15n }]);
  expect(book().sweep("Buy", 25n, 201)).toEqual([{ ticks: 201, qty: 10n }]);
  expect(book().sweep("Sell", 100n, 1)).toEqual([{ ticks: 200, qty: 20n }, { ticks: 197, qty: 5n }]);
});

test("what is kept by ids equals what a plain map keeps, for many random changes", () => {
  const made = new Book({ units: 1n, scale: 0 });
  made.apply("partial", []);
  const plain = new Map<number, number>();
  let seed = 7;
  const next = (below: number): number => (seed = (seed * 48271) % 2147483647) % below;
  for (let turn = 0; turn < 3_000; turn++) {
    const ticks = 1 + next(60);
    const size = 1 + next(900);
    const one = row(String(ticks), "Buy", String(size), String(ticks));
    if (plain.has(ticks) && next(3) === 0) {
      made.apply("delete", [one]);
      plain.delete(ticks);
    } else {
      made.apply(plain.has(ticks) ? "update" : "insert", [one]);
      plain.set(ticks, size);
    }
  }
  const wanted = [...plain].sort(([a], [b]) => b - a);
  expect(made.shown("Buy", 99, 1).map(({ ticks, size }) => [ticks, size])).toEqual(wanted);
});
