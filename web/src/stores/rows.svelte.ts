import type { Action } from "../api/rows.ts";
import { withNextFrame } from "./frame.ts";

/** One table of the API: kept from its partial and its changes, shown with the next frame. */
export class Rows<Row extends object> {
  private readonly rows = new Map<string, Row>();
  private readonly publish = (): void => {
    this.all = new Map(this.rows);
  };

  all = $state.raw<ReadonlyMap<string, Row>>(new Map());
  /** False from the moment at which the connection is lost until the table has come again. */
  isFresh = $state(false);

  /** `keeps` says which rows stay: an order that is over is told of by an update and then is not open any more. */
  constructor(
    private readonly keyOf: (row: Row) => string,
    private readonly keeps: (row: Row) => boolean = () => true,
  ) {}

  apply(action: Action, rows: readonly Row[]): void {
    if (action === "partial") {
      this.rows.clear();
      this.isFresh = true;
    }
    for (const row of rows) {
      const key = this.keyOf(row);
      if (action === "delete") {
        this.rows.delete(key);
        continue;
      }
      const merged = { ...this.rows.get(key), ...row };
      if (this.keeps(merged)) this.rows.set(key, merged);
      else this.rows.delete(key);
    }
    withNextFrame(this.publish);
  }

  /** Return a row as it is known now, which may be newer than what is shown. */
  now(key: string): Row | undefined {
    return this.rows.get(key);
  }

  forget(): void {
    this.rows.clear();
    this.isFresh = false;
    this.publish();
  }
}

/** The newest rows of a table that only grows, newest first. */
export class Newest<Row extends { readonly timestamp: string }> {
  private rows: Row[] = [];
  private readonly publish = (): void => {
    this.all = this.rows;
  };

  all = $state.raw<readonly Row[]>([]);

  constructor(
    private readonly keyOf: (row: Row) => string,
    private readonly most: number,
  ) {}

  /** Add rows, oldest first, some of which may be known: what was missed while nobody listened comes with the rest. */
  add(rows: readonly Row[]): void {
    const known = new Set(this.rows.map(this.keyOf));
    const fresh = rows.filter((row) => !known.has(this.keyOf(row))).reverse();
    if (!fresh.length) return;
    // Timestamps are texts of one form; of equals the newcomer is newer.
    const newestFirst = (a: Row, b: Row): number => (a.timestamp < b.timestamp ? 1 : a.timestamp > b.timestamp ? -1 : 0);
    this.rows = [...fresh, ...this.rows].sort(newestFirst).slice(0, this.most);
    withNextFrame(this.publish);
  }

  forget(): void {
    this.rows = [];
    this.publish();
  }
}
