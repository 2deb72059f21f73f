/** The exchange's own REST API, read as any stranger reads it. */

import { parseExact } from "./exact.js";

const SECONDS = 15;
const SHARED_MS = 2000;
const asked = new Map();

/**
 * Return what a public GET answers; numbers are texts. Throws Error with the reason.
 * Parts of one page that ask the same within two seconds share the answer: strangers are allowed few requests a minute.
 */
export function get(path) {
  const now = Date.now();
  const before = asked.get(path);
  if (before && now - before.at < SHARED_MS) return before.answer;
  const answer = text(`/api/v1${path}`).then(parseExact);
  asked.set(path, { at: now, answer });
  return answer;
}

/** Return the answer to a POST; numbers are texts. Throws Error with the reason. */
export async function post(path, body) {
  return parseExact(await text(`/api/v1${path}`, {
    method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" },
  }));
}

/** Return a file's text. Throws Error. */
export async function text(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { ...options, signal: AbortSignal.timeout(SECONDS * 1000), credentials: "omit" });
  } catch {
    throw new Error("the exchange does not answer");
  }
  const body = await answer.text();
  if (answer.ok) return body;
  throw Object.assign(new Error(reason(body) ?? `status ${answer.status}`), { status: answer.status });
}

function reason(body) {
  try {
    return JSON.parse(body).error.message;
  } catch {
    return undefined;
  }
}
