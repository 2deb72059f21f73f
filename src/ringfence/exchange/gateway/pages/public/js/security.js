/** Whom reports are sealed for, what is promised and kept, who is thanked, what was published. */

import { get } from "./api.js";
import { grouped } from "./exact.js";
import { el, mark, note, part, table, time } from "./page.js";

const policy = get("/securityPolicy");

async function promises() {
  const said = await policy;
  document.getElementById("recipient").textContent = said.recipient;
  const late = said.overdue === "0" ? mark("good", "none overdue") : mark("bad", `${said.overdue} overdue`);
  return [
    el("p", {}, `${said.received} reports came so far, ${said.open} of them are open: `, late, "."),
    table("What we promise", [["Step"], ["Within", "number"]], [
      ["You hear that somebody has read it", days(said.deadlines.acknowledgeDays)],
      ["You hear what we make of it, and its band", days(said.deadlines.triageDays)],
      ["It is published, with you or at the latest then", days(said.deadlines.disclosureDays)],
    ]),
    table("By band", [["Band"], ["For example", "words"], ["Fixed within", "number"], ["Reward in USD", "number"]],
      said.bands.map((one) => [one.band, one.example, days(one.fixDays),
        one.rewardMaxUsd === "0" ? "thanks" : `${grouped(one.rewardMinUsd)} – ${grouped(one.rewardMaxUsd)}`])),
    el("p", { class: "faint" }, `The log of reports has ${grouped(said.log.entries)} entries; its head is `, el("code", {}, said.log.head),
      ". Whoever keeps it can tell whether it was rewritten."),
  ];
}

const days = (count) => (count === "1" ? "1 day" : `${count} days`);

async function hall() {
  const { thanks } = await policy;
  if (!thanks.length) return note("Nobody yet. You could be the first.");
  return el("ul", {}, ...thanks.map((one) => el("li", {}, one.name, one.band ? ` (${one.band})` : "")));
}

async function advisories() {
  const { advisories: all } = await policy;
  if (!all.length) return note("Nothing was published yet.");
  return all.map((one) => el("article", {}, el("h3", {}, one.title),
    el("p", { class: "faint" }, time(one.timestamp), ` · ${one.band} · ${one.vector || "no vector"} · report ${one.report}`),
    el("pre", { class: "wraps" }, one.advisory)));
}

part("promises", promises);
part("hall", hall);
part("advisories", advisories);
