/** The exchange as this page knows it: its tables, who is signed in, and what can be asked of it. */

import { Realtime, type State } from "../api/socket.ts";
import type { Account } from "../api/account.ts";
import { Refused, Rest } from "../api/rest.ts";
import type {
  Action, Asset, Bin, BookRow, Commission, Execution, HaltStatus, Instrument, Margin, Order, Position, Row, Trade,
} from "../api/rows.ts";
import { mayBeSignedIn, noteSignedOut, onOtherTab } from "../api/session.ts";
import type { Credentials } from "../api/sign.ts";
import { Book } from "../market/book.ts";
import { Contract, tickOf } from "../market/contract.ts";
import { quantity } from "../numbers/format.ts";
import { assets } from "./assets.svelte.ts";
import { withNextFrame } from "./frame.ts";
import { attempt, notices, wordsOf } from "./notices.svelte.ts";
import { Newest, Rows } from "./rows.svelte.ts";

const KEY = "ringfence.key";
const PRIVATE = ["order", "execution", "position", "margin"] as const;
const OPEN = new Set(["New", "PartiallyFilled"]);
const FIRST = "XBTUSD";

class Exchange {
  connection = $state<State>("connecting");
  who = $state<string | null>(null);
  symbol = $state(decodeURIComponent(location.hash.slice(1)) || FIRST);
  halts = $state.raw<HaltStatus | null>(null);
  /** Counts frames in which the book changed: whoever draws it follows this. */
  bookVersion = $state(0);
  bookIsFresh = $state(false);
  /** The exchange's clock, to the second, for countdowns. */
  seconds = $state(Math.floor(Date.now() / 1000));
  fees = $state.raw<Commission | null>(null);

  readonly instruments = new Rows<Instrument>((row) => row.symbol);
  readonly trades = new Newest<Trade>((row) => row.trdMatchID, 60);
  readonly orders = new Rows<Order>((row) => row.orderID, (row) => OPEN.has(row.ordStatus));
  readonly positions = new Rows<Position>((row) => row.symbol);
  readonly margins = new Rows<Margin>((row) => row.currency);
  readonly executions = new Newest<Execution>((row) => row.execID, 300);
  /** Whoever draws candles is told of trades and of bins that closed. */
  onTrades: ((rows: readonly Trade[]) => void) | null = null;
  onBins: ((rows: readonly Bin[]) => void) | null = null;

  readonly rest: Rest;
  book: Book | null = null;
  private readonly realtime: Realtime;
  private credentials: Credentials | null = null;
  private isSession = false;
  private clockOffset = 0;
  private followed: string[] = [];
  private binTopic = "tradeBin1m";

  constructor() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.rest = new Rest(this.now, () => this.credentials ?? (this.isSession ? "session" : null), {
      ended: () => this.endSession("Your session has ended. Sign in again."),
    });
    this.realtime = new Realtime(
      `${scheme}://${location.host}/realtime`,
      {
        table: (table, action, rows, filter) => this.take(table, action, rows, filter),
        state: (state) => this.setConnection(state),
        clock: (milliseconds) => (this.clockOffset = milliseconds - Date.now()),
        denied: (message) => {
          this.forgetAccount();
          notices.say(message, "bad");
        },
        refused: (message) => notices.say(message, "bad"),
      },
      this.now,
    );
  }

  now = (): number => Date.now() + this.clockOffset;

  start(): void {
    this.realtime.subscribe("instrument", "halt");
    this.follow(this.symbol);
    this.realtime.start();
    setInterval(() => (this.seconds = Math.floor(this.now() / 1000)), 1_000);
    addEventListener("hashchange", () => {
      const symbol = decodeURIComponent(location.hash.slice(1));
      if (symbol && symbol !== this.symbol) this.choose(symbol);
    });
    // A key that this tab was given stays what it is, whoever signs in elsewhere.
    onOtherTab(() => {
      if (this.credentials) return;
      this.forgetAccount();
      this.realtime.renew();
    });
    void this.loadAssets();
  }

  // ---- what is looked at

  get instrument(): Instrument | undefined {
    return this.instruments.all.get(this.symbol);
  }

  contract = $derived.by((): Contract | null => {
    const { instrument } = this;
    return instrument ? new Contract(instrument, this.fees?.[this.symbol] ?? null) : null;
  });

  choose(symbol: string): void {
    if (symbol === this.symbol) return;
    this.symbol = symbol;
    location.hash = symbol;
    this.follow(symbol);
  }

  /** Follow the bins that a chart shows, beside the book and the trades. */
  followBins(topic: string): void {
    if (topic === this.binTopic) return;
    this.realtime.unsubscribe(`${this.binTopic}:${this.symbol}`);
    this.binTopic = topic;
    this.followed = this.topicsOf(this.symbol);
    this.realtime.subscribe(`${topic}:${this.symbol}`);
  }

  private topicsOf = (symbol: string): string[] => [
    `orderBookL2:${symbol}`, `trade:${symbol}`, `${this.binTopic}:${symbol}`,
  ];

  private follow(symbol: string): void {
    this.realtime.unsubscribe(...this.followed);
    this.book = null;
    this.bookIsFresh = false;
    this.bookVersion += 1;
    this.trades.forget();
    this.followed = this.topicsOf(symbol);
    this.realtime.subscribe(...this.followed);
    void this.loadTrades(symbol);
  }

  private loadTrades = (symbol: string): Promise<boolean> =>
    attempt(async () => {
      const rows = await this.rest.get<Trade[]>("/trade", { symbol, count: 50, reverse: true });
      if (symbol === this.symbol) this.trades.add(rows.reverse());
    });

  private loadAssets = (): Promise<boolean> =>
    attempt(async () => assets.take(await this.rest.get<Asset[]>("/wallet/assets")));

  private loadHalts = (): Promise<boolean> =>
    attempt(async () => (this.halts = await this.rest.get<HaltStatus>("/halt/status")));

  // ---- who is signed in

  /** Sign in with a key; whoever the exchange does not know is refused in its words. Throws Refused. */
  async signIn(credentials: Credentials): Promise<void> {
    const name = await this.rest.whoami(credentials);
    this.credentials = credentials;
    this.isSession = false;
    // Only here: gone with the tab, never in a URL, a log or a message.
    sessionStorage.setItem(KEY, JSON.stringify(credentials));
    this.realtime.signIn(credentials, PRIVATE);
    await this.welcome(name);
  }

  /** Whoever was signed in when this tab was last loaded still is; also where the exchange could not be asked then. */
  private async resume(): Promise<void> {
    const kept = sessionStorage.getItem(KEY);
    if (this.credentials) await this.loadFills();
    else if (kept) await attempt(() => this.signIn(JSON.parse(kept) as Credentials));
    else if (mayBeSignedIn()) await this.resumeSession();
  }

  /** Ask who is signed in on the account page, and follow what is theirs. */
  private async resumeSession(): Promise<void> {
    this.isSession = true;
    let account: Account;
    try {
      account = await this.rest.get<Account>("/account");
    } catch (error) {
      // Who is not signed in has been told of by the answer itself.
      if (!(error instanceof Refused && error.status === 401)) notices.say(wordsOf(error), "bad");
      return;
    }
    this.realtime.followSession(PRIVATE);
    await this.welcome(account.email);
  }

  private async welcome(name: string): Promise<void> {
    this.who = name;
    await attempt(async () => (this.fees = await this.rest.get<Commission>("/user/commission")));
    await this.loadFills();
  }

  private endSession(why: string): void {
    if (!this.isSession) return;
    if (this.who) notices.say(why, "bad");
    noteSignedOut();
    this.forgetAccount();
  }

  private loadFills = (): Promise<boolean> =>
    attempt(async () => {
      const rows = await this.rest.get<Execution[]>("/execution/tradeHistory", { count: 100, reverse: true });
      this.executions.add(rows.reverse());
    });

  /** Nobody is signed in afterwards, here and in every other tab. */
  async signOut(): Promise<void> {
    const isSession = mayBeSignedIn();
    this.forgetAccount();
    if (isSession) {
      this.isSession = true;
      if (await attempt(() => this.rest.post("/account/logout", {}))) noteSignedOut();
      this.isSession = false;
    }
    this.realtime.signOut();
  }

  private forgetAccount(): void {
    sessionStorage.removeItem(KEY);
    this.credentials = null;
    this.isSession = false;
    this.who = null;
    this.fees = null;
    for (const table of [this.orders, this.positions, this.margins, this.executions]) table.forget();
  }

  // ---- what the exchange says

  private setConnection(state: State): void {
    if (state === "reconnecting" && this.connection === "live") {
      for (const table of [this.instruments, this.orders, this.positions, this.margins]) table.isFresh = false;
      this.bookIsFresh = false;
      notices.say("The connection was lost. What is grey is old.", "bad");
    } else if (state === "live" && this.connection === "reconnecting") {
      notices.say("Connected again.", "good");
      void this.loadTrades(this.symbol);
    }
    if (state === "live" && this.connection !== "live") void this.resume();
    this.connection = state;
  }

  private take(table: string, action: Action, rows: readonly Row[], filter: Row): void {
    switch (table) {
      case "orderBookL2":
        this.takeBook(action, rows, filter);
        break;
      case "trade":
        this.takeTrades(action, rows as unknown as Trade[]);
        break;
      case "instrument":
        this.instruments.apply(action, rows as unknown as Instrument[]);
        if (action === "partial" && !this.instruments.now(this.symbol)) this.choose(FIRST);
        break;
      case "order":
        this.takeOrders(action, rows as unknown as Order[]);
        break;
      case "execution":
        this.takeExecutions(action, rows as unknown as Execution[]);
        break;
      case "position":
        this.positions.apply(action, rows as unknown as Position[]);
        break;
      case "margin":
        this.margins.apply(action, rows as unknown as Margin[]);
        break;
      case "halt":
        void this.loadHalts();
        break;
      case this.binTopic:
        if (action === "insert") this.onBins?.((rows as unknown as Bin[]).filter((row) => row.symbol === this.symbol));
        break;
    }
  }

  private takeBook(action: Action, rows: readonly Row[], filter: Row): void {
    const symbol = action === "partial" ? filter["symbol"] : rows[0]?.["symbol"];
    if (symbol !== this.symbol) return;
    if (action === "partial") {
      // The book may come before the instruments: its ticks are those of the instrument.
      const instrument = this.instruments.now(this.symbol);
      if (!instrument) return;
      this.book = new Book(tickOf(instrument));
      this.bookIsFresh = true;
    }
    this.book?.apply(action, rows as unknown as BookRow[]);
    withNextFrame(this.showBook);
  }

  private readonly showBook = (): void => {
    this.bookVersion += 1;
  };

  private takeTrades(action: Action, rows: readonly Trade[]): void {
    const ours = rows.filter((row) => row.symbol === this.symbol);
    this.trades.add(ours);
    if (action === "insert") this.onTrades?.(ours);
  }

  private takeOrders(action: Action, rows: readonly Order[]): void {
    this.orders.apply(action, rows);
    if (action === "partial") return;
    for (const row of rows) {
      if (row.ordStatus === "Canceled") notices.say(`Cancelled: ${phrase(row)}. ${firstLine(row.text)}`);
      else if (row.ordStatus === "Rejected") notices.say(`Rejected: ${phrase(row)}. ${firstLine(row.text)}`, "bad");
    }
  }

  private takeExecutions(action: Action, rows: readonly Execution[]): void {
    if (action !== "insert") return;
    for (const row of rows) {
      const what = `${quantity(row.lastQty ?? row.orderQty)} ${row.symbol}`;
      if (row.execType === "Trade") {
        notices.say(`${row.side === "Buy" ? "Bought" : "Sold"} ${what} at ${row.lastPx ?? ""}`, "good");
      } else if (row.execType === "TriggeredOrActivatedBySystem") {
        notices.say(`Triggered: ${row.side ?? ""} ${what}`);
      } else if (row.execType === "Liquidation") {
        notices.say(`${row.text ?? "Liquidation"}: ${row.side ?? ""} ${what} at ${row.price ?? ""}`, "bad");
      } else if (row.execType === "Funding") {
        notices.say(`Funding of ${row.symbol}: ${row.execComm ?? ""} ${row.settlCurrency ?? ""} paid`);
      } else if (row.execType === "Settlement") {
        notices.say(`Settled: ${what} at ${row.price ?? ""}`);
      }
    }
    this.executions.add(rows.filter((row) => MOVES.has(row.execType)));
  }
}

const MOVES = new Set(["Trade", "Funding", "Liquidation", "Settlement"]);

const firstLine = (text: string | null): string => text?.split("\n")[0] ?? "";

export const phrase = (order: Order): string =>
  `${order.side} ${quantity(order.orderQty)} ${order.symbol}${order.price ? ` at ${order.price}` : ""}`;

export const exchange = new Exchange();
