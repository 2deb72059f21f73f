/** The ticket's draft, which the book and the keyboard write into as well. */

import type { Order, Side } from "../api/rows.ts";
import { bracket, EMPTY, type Draft } from "../order/draft.ts";
import { KINDS, type Kind } from "../order/kinds.ts";
import { exchange, phrase } from "./exchange.svelte.ts";
import { attempt, notices } from "./notices.svelte.ts";

class Ticket {
  draft = $state<Draft>({ ...EMPTY });
  /** What somebody is shown on a phone. */
  view = $state<"markets" | "chart" | "book" | "trade" | "account">("chart");
  isBusy = $state(false);

  takePrice(price: string): void {
    const needs = KINDS[this.draft.kind];
    if (needs.price) this.draft.price = price;
    else if (needs.stop) this.draft.stop = price;
    else {
      this.draft.kind = "Limit";
      this.draft.price = price;
    }
  }

  /** Prices of one contract say nothing about another's. */
  clear(): void {
    Object.assign(this.draft, { qty: "", price: "", stop: "", offset: "", display: "", profit: "", loss: "" });
  }

  choose(kind: Kind): void {
    this.draft.kind = kind;
  }

  async send(side: Side): Promise<void> {
    if (this.isBusy) return;
    this.isBusy = true;
    const isSpot = exchange.contract?.isSpot ?? false;
    const [first, ...closing] = bracket(this.draft, exchange.symbol, side, isSpot, crypto.randomUUID());
    await attempt(async () => {
      const order = await exchange.rest.post<Order>("/order", first ?? {});
      // What became of it otherwise is told by the tables.
      if (order.ordStatus === "New") notices.say(`${order.workingIndicator ? "Placed" : "Waiting"}: ${phrase(order)}`, "good");
      if (order.ordStatus === "Canceled" || order.ordStatus === "Rejected") return;
      for (const one of closing) {
        const waiting = await exchange.rest.post<Order>("/order", one);
        // Triggered at once, it has nothing left to cancel: there is nothing left to protect.
        if (waiting.ordStatus !== "New") return;
        notices.say(`Waiting: ${phrase(waiting)}, when the mark is at ${one["stopPx"]}`, "good");
      }
    });
    this.isBusy = false;
  }
}

export const ticket = new Ticket();
