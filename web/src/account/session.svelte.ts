/** Who is signed in on this page, and the requests that their cookie stands behind. */

import type { Account, Answer, Question, SignedIn } from "../api/account.ts";
import { Refused, Rest } from "../api/rest.ts";
import type { Asset } from "../api/rows.ts";
import { mayBeSignedIn, noteSignedIn, noteSignedOut, onOtherTab } from "../api/session.ts";
import { assets } from "../stores/assets.svelte.ts";
import { attempt } from "../stores/notices.svelte.ts";

/** A question that has to be answered before something goes on. */
interface Asked {
  readonly question: Question;
  readonly answered: () => void;
  readonly givenUp: () => void;
}

class Session {
  account = $state.raw<Account | null>(null);
  /** False until it is known whether somebody is signed in. */
  isKnown = $state(false);
  hasEnded = $state(false);
  asked = $state.raw<Asked | null>(null);

  readonly rest = new Rest(Date.now, () => "session", {
    stepUp: () => (this.steppingUp ??= this.askToStepUp().finally(() => (this.steppingUp = null))),
    ended: () => this.end(),
  });
  /** Several requests may need it at once: the person is asked once. */
  private steppingUp: Promise<void> | null = null;

  async start(): Promise<void> {
    onOtherTab(() => void this.look());
    void attempt(async () => assets.take(await this.rest.get<Asset[]>("/wallet/assets")));
    await this.look();
  }

  /** Read the account again: after whatever has changed it. */
  refresh = (): Promise<boolean> =>
    attempt(async () => (this.account = await this.rest.get<Account>("/account")));

  private async look(): Promise<void> {
    try {
      this.account = mayBeSignedIn() ? await this.rest.get<Account>("/account") : null;
    } catch (error) {
      if (error instanceof Refused && error.status === 401) noteSignedOut();
      this.account = null;
    }
    this.isKnown = true;
  }

  /** Take what signing in has said; null if it is done, else the question that is left. */
  async take(said: SignedIn): Promise<Question | null> {
    if (said.state === "secondFactor") return said;
    const account = await this.rest.get<Account>("/account");
    noteSignedIn(account.account);
    this.hasEnded = false;
    this.account = account;
    return null;
  }

  async signOut(): Promise<void> {
    if (!(await attempt(() => this.rest.post("/account/logout", {})))) return;
    noteSignedOut();
    this.account = null;
  }

  private end(): void {
    if (!this.account) return;
    noteSignedOut();
    this.account = null;
    this.hasEnded = true;
    this.asked?.givenUp();
  }

  // ---- stepping up

  private async askToStepUp(): Promise<void> {
    const question = await this.stepUpQuestion();
    try {
      await new Promise<void>((answered, refuse) => {
        const givenUp = (): void => refuse(new Error("You did not confirm that it is you. Nothing was changed."));
        this.asked = { question, answered, givenUp };
      });
    } finally {
      this.asked = null;
    }
  }

  stepUpQuestion = (): Promise<Question> => this.rest.post<Question>("/account/stepUp/options", {});

  async answerStepUp(question: Question, answer: Answer): Promise<void> {
    await this.rest.post("/account/stepUp", { challenge: question.challenge, ...answer });
    this.asked?.answered();
  }
}

export const session = new Session();
