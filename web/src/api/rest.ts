/** Requests to /api/v1 of the origin that served this page. */

import { decode } from "./json.ts";
import { expiry, signature, type Credentials } from "./sign.ts";

const API = "/api/v1";

/** What the API refused, in its own words. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
    this.name = "Refused";
  }
}

export type Parameters = Readonly<Record<string, string | number | boolean | null | undefined>>;
type Verb = "GET" | "POST" | "PUT" | "DELETE";

export class Rest {
  /** `now` is the exchange's clock in milliseconds, `credentials` who signs; null for requests without a key. */
  constructor(
    private readonly now: () => number,
    private readonly credentials: () => Credentials | null,
  ) {}

  async get<Found>(path: string, parameters: Parameters = {}): Promise<Found> {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(given(parameters))) query.set(name, String(value));
    return this.ask<Found>("GET", query.size ? `${path}?${query}` : path, "", this.credentials());
  }

  post = <Found>(path: string, parameters: Parameters): Promise<Found> => this.send<Found>("POST", path, parameters);
  put = <Found>(path: string, parameters: Parameters): Promise<Found> => this.send<Found>("PUT", path, parameters);
  delete = <Found>(path: string, parameters: Parameters): Promise<Found> =>
    this.send<Found>("DELETE", path, parameters);

  /** Return whether somebody may sign so, by asking who they are. Throws Refused. */
  async whoami(credentials: Credentials): Promise<string> {
    const user = await this.ask<{ username: string | null; id: string }>("GET", "/user", "", credentials);
    return user.username ?? user.id;
  }

  private send<Found>(verb: Verb, path: string, parameters: Parameters): Promise<Found> {
    return this.ask<Found>(verb, path, JSON.stringify(given(parameters)), this.credentials());
  }

  private async ask<Found>(verb: Verb, path: string, body: string, who: Credentials | null): Promise<Found> {
    const headers: Record<string, string> = { accept: "application/json" };
    if (body) headers["content-type"] = "application/json";
    if (who) {
      const expires = expiry(this.now());
      headers["api-key"] = who.id;
      headers["api-expires"] = String(expires);
      headers["api-signature"] = await signature(who.secret, verb + API + path + expires + body);
    }
    const init: RequestInit = { method: verb, headers, cache: "no-store", credentials: "omit" };
    if (body) init.body = body;
    let answer: Response;
    try {
      answer = await fetch(API + path, init);
    } catch {
      throw new Refused(0, "The exchange cannot be reached. Ask what became of an order before you send it again.");
    }
    const text = await answer.text();
    let found: unknown;
    try {
      found = decode(text);
    } catch {
      throw new Refused(answer.status, `The answer cannot be read (HTTP ${answer.status})`);
    }
    if (!answer.ok) {
      const said = (found as { error?: { message?: string } }).error?.message;
      throw new Refused(answer.status, said ?? `HTTP ${answer.status}`);
    }
    return found as Found;
  }
}

function given(parameters: Parameters): Record<string, string | number | boolean> {
  const kept = Object.entries(parameters).filter(([, value]) => value != null && value !== "");
  return Object.fromEntries(kept) as Record<string, string | number | boolean>;
}
