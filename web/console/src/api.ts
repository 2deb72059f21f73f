/** Questions to the console that served this page. Every number of an answer is text, so that none is rounded. */

import { decode } from "../../src/api/json.ts";

export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** `poll`: the page asks by itself, which keeps no session alive. */
type By = "page" | "poll";

export const get = <Found>(path: string, by: By = "poll"): Promise<Found> => ask<Found>("GET", path, "", by);

export const post = <Found>(path: string, said: unknown = {}): Promise<Found> =>
  ask<Found>("POST", path, typeof said === "string" ? said : JSON.stringify(said), "page");

async function ask<Found>(method: "GET" | "POST", path: string, body: string, by: By): Promise<Found> {
  const headers: Record<string, string> = { "x-ringfence-console": by };
  if (body) headers["content-type"] = "application/json";
  let answer: Response;
  try {
    answer = await fetch(`/api/${path}`, {
      method, headers, credentials: "same-origin", cache: "no-store", ...(body ? { body } : {}),
    });
  } catch {
    throw new Refused(0, "the console does not answer");
  }
  const said = decode(await answer.text());
  if (!answer.ok) throw new Refused(answer.status, (said as { error: { message: string } }).error.message);
  return said as Found;
}
