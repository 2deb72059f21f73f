/** Which view is shown: it stands behind the # of the address. A token from a mail is taken out of the address at once,
 * so that it stays neither in the history nor on the screen. */

export const VIEWS = {
  overview: "Overview", security: "Security", keys: "API keys", funds: "Funds", statements: "Statements",
  subaccounts: "Sub-accounts",
} as const;
export const FUNDS = {
  deposit: "Deposit", withdraw: "Withdraw", addresses: "Address book", key: "Withdrawal key", transfer: "Transfer",
  history: "History",
} as const;
const ENTRIES = ["sign-in", "register", "forgotten"] as const;
const TOKENS = ["verify", "reset", "confirm", "lock"] as const;

export type View = keyof typeof VIEWS | (typeof ENTRIES)[number] | (typeof TOKENS)[number];

interface Place {
  readonly view: View;
  /** What stands behind the slash: a part of the view, or the contract to come back to. */
  readonly part: string;
}

const KNOWN: readonly string[] = [...Object.keys(VIEWS), ...ENTRIES];

class Route {
  /** What a mail's link carried, until it is used. */
  token = $state("");
  private place = $state.raw<Place>({ view: "overview", part: "" });

  constructor() {
    this.read();
    addEventListener("hashchange", () => this.read());
  }

  get view(): View {
    return this.place.view;
  }

  get part(): string {
    return this.place.part;
  }

  go(view: View, part = ""): void {
    location.hash = part ? `${view}/${part}` : view;
  }

  private read(): void {
    const hash = decodeURIComponent(location.hash.slice(1));
    const [name = "", token] = split(hash, "=");
    const mailed = TOKENS.find((one) => one === name);
    if (mailed && token) {
      this.token = token;
      this.place = { view: mailed, part: "" };
      history.replaceState(null, "", `#${mailed}`);
      return;
    }
    const [view = "", part = ""] = split(hash, "/");
    if (mailed) this.place = { view: mailed, part: "" };
    else this.place = KNOWN.includes(view) ? { view: view as View, part } : { view: "overview", part: "" };
  }
}

function split(text: string, at: string): readonly string[] {
  const where = text.indexOf(at);
  return where < 0 ? [text] : [text.slice(0, where), text.slice(where + 1)];
}

export const route = new Route();
