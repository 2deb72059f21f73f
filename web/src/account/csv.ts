/** Statements: the pages of a list, each a CSV file with a head of its own, made into one. */

/** Return the records of a CSV text as they stand there, without their line ends: a quoted field may hold some. */
export function records(text: string): string[] {
  const found: string[] = [];
  let isQuoted = false;
  let start = 0;
  for (let at = 0; at < text.length; at += 1) {
    const letter = text[at];
    if (letter === '"') isQuoted = !isQuoted;
    else if (letter === "\n" && !isQuoted) {
      found.push(text.slice(start, text[at - 1] === "\r" ? at - 1 : at));
      start = at + 1;
    }
  }
  if (start < text.length) found.push(text.slice(start));
  return found.filter((record) => record !== "");
}

/** Ask for page after page until one is not full; return all of it under one head, and how many rows it has.
 * Throws if the head changes on the way: then the columns would not be those that it names. */
export async function joined(
  page: (start: number) => Promise<string>, rowsPerPage: number, progress: (rows: number) => void,
): Promise<{ text: string; rows: number }> {
  let head: string | undefined;
  const rows: string[] = [];
  for (;;) {
    const [own, ...more] = records(await page(rows.length));
    if (own !== undefined) {
      head ??= own;
      if (own !== head) throw new Error("The columns changed between two pages. Nothing was saved; try again.");
      rows.push(...more);
    }
    progress(rows.length);
    if (more.length < rowsPerPage) break;
  }
  return { text: head === undefined ? "" : [head, ...rows, ""].join("\r\n"), rows: rows.length };
}
