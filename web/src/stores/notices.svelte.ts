/** What the person is told: for some seconds in a corner, and afterwards in a list. */

export type Tone = "good" | "bad" | "plain";

export interface Notice {
  readonly number: number;
  readonly tone: Tone;
  readonly text: string;
  readonly at: string;
}

const SHOWN_MS = 7_000;
const MOST = 200;

class Notices {
  all = $state.raw<readonly Notice[]>([]);
  shown = $state.raw<readonly Notice[]>([]);
  private count = 0;

  say(text: string, tone: Tone = "plain"): void {
    const notice = { number: ++this.count, tone, text, at: new Date().toISOString() };
    this.all = [notice, ...this.all].slice(0, MOST);
    this.shown = [...this.shown, notice].slice(-4);
    setTimeout(() => this.dismiss(notice.number), SHOWN_MS);
  }

  dismiss(number: number): void {
    this.shown = this.shown.filter((notice) => notice.number !== number);
  }
}

export const notices = new Notices();

/** Return what is told of something that went wrong. */
export const wordsOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Do what somebody asked for; a refusal is told in the API's words. Return whether it was done. */
export async function attempt(deed: () => Promise<unknown>): Promise<boolean> {
  try {
    await deed();
    return true;
  } catch (error) {
    notices.say(wordsOf(error), "bad");
    return false;
  }
}
