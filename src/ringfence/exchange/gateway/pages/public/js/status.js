/** Does the exchange trade, what do its judges say, what was halted, and which states did it sign. */

import { get, text } from "./api.js";
import { grouped } from "./exact.js";
import { age, el, mark, note, part, short, span, table, time } from "./page.js";

const STALE_SECONDS = 60;

async function state() {
  let status;
  let reports;
  try {
    [status, reports] = await Promise.all([get("/halt/status"), get("/audit")]);
  } catch (error) {
    return el("div", { class: "banner bad" }, el("strong", {}, "No answer"), el("span", {}, `${error.message}.`));
  }
  const red = reports.filter((one) => one.red !== "0" || isStale(one)).map((one) => one.judge);
  const runs = status.state === "Running";
  const kind = !runs ? "bad" : red.length || status.halted.length || !reports.length ? "warn" : "good";
  const words = { Running: "Trading", CancelOnly: "Cancels only", Halted: "Halted" };
  let judges = reports.length ? "every judge is content" : "no judge has reported yet";
  if (red.length) judges = `not content or silent: ${red.join(", ")}`;
  return el(
    "div", { class: `banner ${kind}` }, el("strong", {}, words[status.state] ?? status.state), el("span", {}, judges),
    el("span", {}, "journal at ", el("span", { id: "sequence" }, grouped(status.sequence))),
    el("span", {}, `${status.halted.length} ${status.halted.length === 1 ? "halt" : "halts"} in force`),
  );
}

const isStale = (report) => Date.now() - Date.parse(report.timestamp) > STALE_SECONDS * 1000;

async function judges() {
  const reports = await get("/audit");
  if (!reports.length) return note("No judge has reported yet: nobody has checked this exchange.");
  return table("What each judge says", [
    ["Judge"], ["Verdict"], ["Checks green", "number"], ["Red", "number"], ["Behind the journal", "number"],
    ["At sequence", "number"], ["Reported", "time"], ["Found", "words"],
  ], reports.map((one) => [
    one.judge, verdict(one), one.green, one.red, `${grouped(one.lagMs)} ms`, grouped(one.sequence),
    el("span", {}, time(one.timestamp), isStale(one) ? ` (${age(one.timestamp)} ago)` : ""),
    one.findings.length ? one.findings.map(finding).join("; ") : "nothing",
  ]));
}

function verdict(report) {
  if (report.red !== "0") return mark("bad", "red");
  return isStale(report) ? mark("bad", "silent") : mark("good", "content");
}

function finding(one) {
  const said = one.found === undefined ? "" : one.expected === undefined ? `: ${one.found}` : `: ${one.found} instead of ${one.expected}`;
  return `${one.law ?? ""} ${one.what ?? ""}${said}`.trim();
}

async function laws() {
  const [reports, said] = await Promise.all([get("/audit"), text("/public/laws.json").then(JSON.parse)]);
  const auditor = reports.find((one) => one.laws);
  if (!auditor) return note("The auditor has not reported yet.");
  const byLaw = Map.groupBy(auditor.laws, (one) => one.law);
  return table("Every law of the auditor, when it is looked at, and how long ago it was when the auditor reported", [
    ["Law"], ["What holds", "words"], ["Verdict"], ["Looked at, last look", "words"], ["At sequence", "number"],
  ], [...byLaw].map(([law, looks]) => {
    const worst = looks.find((one) => one.verdict !== "green") ?? looks[0];
    return [
      law, said[law] ?? "", mark(worst.verdict === "green" ? "good" : worst.verdict === "red" ? "bad" : "warn", worst.verdict),
      looks.map(look).join("; "), grouped(looks.map((one) => one.lastSequence).sort((a, b) => Number(a) - Number(b))[0]),
    ];
  }));
}

const look = (one) => `${one.when}: ${one.ageMs === null ? "never" : `${span(Math.round(Number(one.ageMs) / 1000))} ago`}`;

async function halts() {
  const rows = await get("/halt?reverse=true&count=100");
  if (!rows.length) return note("Nothing was ever halted.");
  return table("Halts and resumptions, newest first", [
    ["Time", "time"], ["Scope"], ["Of"], ["State"], ["By"], ["Law"], ["Why", "words"], ["Expected"], ["Found"],
  ], rows.map((one) => [
    time(one.timestamp), one.scope, one.symbol ?? one.currency ?? "everything",
    mark(one.state === "Running" ? "good" : "bad", one.state), one.by, one.law, one.text, one.expected, one.found,
  ]));
}

async function people() {
  const { people: listed } = await get("/halt/people");
  if (!listed.length) return note("Nobody is listed yet.");
  return table("Who may lift a halt: two people of different roles", [
    ["Name"], ["Role"], ["Scheme"], ["Public key", "hash"],
  ], listed.map((one) => [one.name, one.role, one.scheme, one.public_key]));
}

async function roots() {
  const rows = await get("/stateRoot?count=10");
  if (!rows.length) return note("No state was signed yet.");
  return table("The newest signed state roots", [
    ["Sequence"], ["Time", "time"], ["Accounts", "number"], ["Events since", "number"], ["Root over all accounts"],
    ["Venue's statement"], ["Signed record"],
  ], rows.map((one) => [
    grouped(one.sequence), time(one.timestamp), grouped(one.accounts), grouped(one.events), short(one.accountsRoot),
    short(one.venue), short(one.record),
  ]));
}

part("state", state, { every: 15 });
part("judges", judges, { every: 15 });
part("laws", laws, { every: 15 });
part("halts", halts, { every: 30 });
part("people", people);
part("roots", roots, { every: 30 });
