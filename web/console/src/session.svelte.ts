/** Who is signed in, what time it is at the console, and pages that ask again and again. */

import { get, post, Refused } from "./api.ts";
import type { Who } from "./rows.ts";

const STILL_HERE_MS = 60_000;
const CLOCK_MS = 300_000;

class Session {
  who = $state.raw<Who | null>(null);
  venue = $state("");
  isKnown = $state(false);
  trouble = $state("");
  /** What the last deed has led to: the form that did it may be gone by then. */
  outcome = $state("");
  #now = 0n;
  #mark = 0;
  #told = 0;

  async look(): Promise<void> {
    try {
      const said = await get<{ who: Who | null; now: string; venue: string }>("session");
      this.who = said.who;
      this.venue = said.venue;
      this.#now = BigInt(said.now);
      this.#mark = performance.now();
      this.trouble = "";
      this.isKnown = true;
    } catch (error) {
      this.trouble = words(error);
    }
  }

  /**
   * The console's clock in nanoseconds: what is signed with a time is not to be from the future. Throws if it is far from
   * this computer's: an approval with a date to come would count when nobody remembers it.
   */
  get now(): string {
    const now = this.#now + BigInt(Math.floor((performance.now() - this.#mark) * 1e6));
    if (Math.abs(Number(now / 1_000_000n) - Date.now()) > CLOCK_MS) {
      throw new Error("the console's clock and this computer's are minutes apart: nothing was signed");
    }
    return String(now);
  }

  async leave(): Promise<void> {
    await post("logout");
    this.who = null;
  }

  /** Called when the person does something: the session ends when nobody is there. */
  stir(): void {
    const now = performance.now();
    if (!this.who || now - this.#told < STILL_HERE_MS) return;
    this.#told = now;
    post("still-here").catch(() => this.look());
  }
}

export const session = new Session();

/** One page's answer, asked for again every few seconds as long as the page is looked at. */
export class Polled<Found> {
  found = $state.raw<Found | null>(null);
  trouble = $state("");

  constructor(
    private readonly path: () => string,
    private readonly everyMs = 2_000,
  ) {}

  /** Begin to ask; return what ends it. */
  start(): () => void {
    void this.look();
    const timer = setInterval(() => {
      if (!document.hidden) void this.look();
    }, this.everyMs);
    return () => clearInterval(timer);
  }

  async look(): Promise<void> {
    const path = this.path();
    try {
      const found = await get<Found>(path);
      if (path !== this.path()) return;
      this.found = found;
      this.trouble = "";
    } catch (error) {
      this.trouble = words(error);
      if (error instanceof Refused && error.status === 401) await session.look();
    }
  }
}

export function words(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
