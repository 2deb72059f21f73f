/** What `ringfence withdrawal` prints: the parameters of a request, with the signature of the client's own key. */

import { decode } from "../../api/json.ts";

type Signed = Readonly<Record<string, string>>;

/** Read it; every name of `needed` has to be there. Throws in words for people. */
export function signedFields(pasted: string, needed: readonly string[]): Signed {
  let found: unknown;
  try {
    found = decode(pasted.slice(pasted.indexOf("{"), pasted.lastIndexOf("}") + 1));
  } catch {
    throw new Error("That is not what the command prints: a line between { and }.");
  }
  const fields = found as Signed;
  const missing = needed.filter((name) => typeof fields[name] !== "string");
  if (missing.length) throw new Error(`That is not what the command prints: ${missing.join(", ")} is missing.`);
  return fields;
}

/** Return a word of a command line, quoted if the shell would read it otherwise. */
export const quoted = (word: string): string => (/^[\w./:@=-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);
