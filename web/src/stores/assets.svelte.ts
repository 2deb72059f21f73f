/** The assets of the venue, by their currency: what money is called and how many decimals it has. */

import type { Asset } from "../api/rows.ts";

class Assets {
  all = $state.raw<ReadonlyMap<string, Asset>>(new Map());

  take(rows: readonly Asset[]): void {
    this.all = new Map(rows.map((row) => [row.currency, row]));
  }

  /** Return how many decimals lie between a currency's smallest unit and the coin. */
  scaleOf = (currency: string): number => Number(this.all.get(currency)?.scale ?? 0);

  /** Return what people call a currency: XBT for XBt. */
  nameOf = (currency: string): string => this.all.get(currency)?.majorCurrency ?? currency;
}

export const assets = new Assets();
