/** Requests to /api/v1 of the origin that served this page. */

import { decode } from "./json.ts";
import { expiry, signature, type Credentials } from "./sign.ts";

const API = "/api/v1";

/** What the API refused, in its own words; `reason` is the name that it gives the refusal. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly reason = "",
  ) {
    super(message);
    this.name = "Refused";
  }
}

export type Parameters = Readonly<Record<string, string | number | boolean | object | null | undefined>>;
type Verb = "GET" | "POST" | "PUT" | "DELETE";

/** Who asks: a key that signs, the session whose cookie the browser keeps, or nobody. */
export type Who = Credentials | "session" | null;

export interface Hooks {
  /** The session has to show afresh who it is; whatever was asked is asked again afterwards. Throws to give up. */
  stepUp?(): Promise<void>;
  /** The session is over: nobody is signed in. */
  ended?(): void;
}

export class Rest {
  /** `now` is the exchange's clock in milliseconds. */
  constructor(
    private readonly now: () => number,
    private readonly who: () => Who,
    private readonly hooks: Hooks = {},
  ) {}

  async get<Found>(path: string, parameters: Parameters = {}): Promise<Found> {
    return read<Found>(await this.ask("GET", path + queryOf(parameters), "", this.who()));
  }

  /** Return a list as the text of a CSV file. */
  async csv(path: string, parameters: Parameters): Promise<string> {
    const query = queryOf({ ...parameters, _format: "csv" });
    return (await this.ask("GET", path + query, "", this.who())).text;
  }

  post = <Found>(path: string, parameters: Parameters): Promise<Found> => this.send<Found>("POST", path, parameters);
  put = <Found>(path: string, parameters: Parameters): Promise<Found> => this.send<Found>("PUT", path, parameters);
  delete = <Found>(path: string, parameters: Parameters): Promise<Found> =>
    this.send<Found>("DELETE", path, parameters);

  /** Return whether somebody may sign so, by asking who they are. Throws Refused. */
  async whoami(credentials: Credentials): Promise<string> {
    const user = read<{ username: string | null; id: string }>(await this.ask("GET", "/user", "", credentials));
    return user.username ?? user.id;
  }

  private async send<Found>(verb: Verb, path: string, parameters: Parameters): Promise<Found> {
    return read<Found>(await this.ask(verb, path, JSON.stringify(given(parameters)), this.who()));
  }

  private async ask(verb: Verb, path: string, body: string, who: Who): Promise<Answer> {
    const answer = await this.say(verb, path, body, who);
    if (answer.isOk) return answer;
    const refused = refusalIn(answer);
    if (who === "session" && refused.reason === "StepUpRequired" && this.hooks.stepUp) {
      await this.hooks.stepUp();
      const again = await this.say(verb, path, body, who);
      if (again.isOk) return again;
      throw refusalIn(again);
    }
    if (who === "session" && saysNobody(path, refused)) this.hooks.ended?.();
    throw refused;
  }

  private async say(verb: Verb, path: string, body: string, who: Who): Promise<Answer> {
    const headers: Record<string, string> = { accept: "application/json" };
    if (body) headers["content-type"] = "application/json";
    if (who === "session") {
      // No form of another site can send it: without this header the cookie does not count.
      headers["x-ringfence"] = "page";
    } else if (who) {
      const expires = expiry(this.now());
      headers["api-key"] = who.id;
      headers["api-expires"] = String(expires);
      headers["api-signature"] = await signature(who.secret, verb + API + path + expires + body);
    }
    const credentials = who === "session" ? "same-origin" : "omit";
    const init: RequestInit = { method: verb, headers, cache: "no-store", credentials };
    if (body) init.body = body;
    try {
      const answer = await fetch(API + path, init);
      return { status: answer.status, isOk: answer.ok, text: await answer.text() };
    } catch {
      throw new Refused(0, "The exchange cannot be reached. Ask what became of it before you send it again.");
    }
  }
}

interface Answer {
  readonly status: number;
  readonly isOk: boolean;
  readonly text: string;
}

function read<Found>(answer: Answer): Found {
  try {
    return decode(answer.text) as Found;
  } catch {
    throw new Refused(answer.status, `The answer cannot be read (HTTP ${answer.status})`);
  }
}

function refusalIn(answer: Answer): Refused {
  const { error } = read<{ error?: { message?: string; name?: string } }>(answer);
  return new Refused(answer.status, error?.message ?? `HTTP ${answer.status}`, error?.name);
}

/** Under /account a wrong password or code is a 401 as well. */
const saysNobody = (path: string, refused: Refused): boolean =>
  refused.reason === "NotSignedIn" || (refused.status === 401 && !path.startsWith("/account/"));

function queryOf(parameters: Parameters): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(given(parameters))) query.set(name, String(value));
  return query.size ? `?${query}` : "";
}

function given(parameters: Parameters): Record<string, string | number | boolean | object> {
  const kept = Object.entries(parameters).filter(([, value]) => value != null && value !== "");
  return Object.fromEntries(kept) as Record<string, string | number | boolean | object>;
}
