/** Published snapshots: what is owed, what there is, and where to check it. */

import { get, text } from "./api.js";
import { coinOf, coins, decimal, grouped, ofMillion, parseExact, scaleOf } from "./exact.js";
import { el, mark, note, part, short, table, time } from "./page.js";

const published = index();

async function index() {
  try {
    return parseExact(parseExact(await text("/proofs/index.json")).index);
  } catch (error) {
    if (error.status === 404) return { snapshots: [], minutes: {}, openings: {}, venue: null };
    throw error;
  }
}

async function newest() {
  const { snapshots } = await published;
  const one = snapshots.findLast((each) => each.withheld === null);
  const next = el("p", {}, ...(await prover()));
  if (!one) return [note("No snapshot was published yet: the first comes some minutes after custody was founded."), next];
  return [
    table(`Snapshot ${one.snapshot}, ${one.timestamp.slice(0, 16).replace("T", " ")} UTC, Bitcoin block ${grouped(one.height)}`, [
      ["Coin"], ["Owed to clients", "number"], ["of which demo coins", "number"], ["Coins on the chain", "number"],
      ["Coverage, demo coins as themselves", "number"], ["Debts of accounts", "number"],
    ], Object.entries(one.assets).map(([currency, asset]) => [
      coinOf(currency), decimal(asset.total, scaleOf(currency)), decimal(asset.demo, scaleOf(currency)),
      decimal(asset.reserves, scaleOf(currency)), coverage(asset), decimal(asset.negative, scaleOf(currency)),
    ])),
    el("p", {}, el("a", { href: `/proofs/${one.folder}/report.html` }, "The auditor's report of this snapshot"), " · ",
      el("a", { href: "/proofs/verifier.html" }, "the verifier, which you can save and use without a network")),
    next,
  ];
}

/** Return how the prover stands, and when its next snapshot is due. */
async function prover() {
  let said;
  try {
    said = await get("/porl/status");
  } catch (error) {
    return [mark("warn", "the prover has said nothing yet"), ` ${error.message}`];
  }
  const found = said.findings.map((one) => `${one.what}: ${one.found}`).join("; ");
  return [
    "The prover, which publishes all of this, is ", said.red === "0" ? mark("good", "content") : mark("bad", `not content: ${found}`),
    " Its next snapshot is due at ", time(said.nextSnapshot), " UTC.",
  ];
}

/** Demo coins stand for themselves, as in the report: docs/reference/proof-of-reserves.md. */
function coverage(asset) {
  const total = BigInt(asset.total);
  if (total === 0n) return "nothing is owed";
  if (BigInt(asset.demo) >= total) return mark("warn", "demo coins alone");
  const ppm = ((BigInt(asset.reserves) + BigInt(asset.demo)) * 1_000_000n) / total;
  return mark(ppm >= 1_000_000n ? "good" : "bad", ofMillion(ppm));
}

async function snapshots() {
  const { snapshots: all } = await published;
  if (!all.length) return null;
  return table("All snapshots, newest first", [
    ["Snapshot"], ["Time", "time"], ["Because"], ["Owed and there", "words"], ["Files"],
  ], all.toReversed().map((one) => [
    one.snapshot, time(one.timestamp), one.because,
    one.withheld ? el("span", { class: "trouble" }, `withheld: ${one.withheld}`)
      : Object.entries(one.assets).map(([currency, asset]) =>
        `${coins(asset.total, currency)} owed, ${decimal(asset.reserves, scaleOf(currency))} on the chain, ${decimal(asset.demo, scaleOf(currency))} demo`).join("; "),
    one.withheld ? el("a", { href: `/proofs/${one.folder}/withheld.html` }, "why") : el("span", {},
      el("a", { href: `/proofs/${one.folder}/report.html` }, "report"),
      ...Object.keys(one.files).filter((name) => name.endsWith(".porl2")).flatMap((name) =>
        [" ", el("a", { href: `/proofs/${one.folder}/${name}` }, name)])),
  ]));
}

async function openings() {
  const { openings: files } = await published;
  const opened = new Map();
  for (const [path, file] of Object.entries(files)) {
    const [, period, minute, name] = path.split("/");
    const key = `${period}/${minute}`;
    opened.set(key, [...(opened.get(key) ?? []), [path, name, file.sha256]]);
  }
  if (!opened.size) return note("No minute was opened yet: that happens two blocks after a snapshot.");
  return table("Minutes that a later block has drawn, replayed and opened", [["Minute", "number"], ["Period", "number"], ["Files", "words"]],
    [...opened].toReversed().slice(0, 30).map(([key, list]) => {
      const [period, minute] = key.split("/");
      return [grouped(String(Number(minute))), String(Number(period)), el("span", {}, ...list.filter(([, name]) => name.endsWith(".porl2")).flatMap(
        ([path, name, sha256]) => [el("a", { href: `/proofs/${path}`, title: `SHA-256 ${sha256}` }, name), " "]))];
    }));
}

async function minutes() {
  const { minutes: files, venue } = await published;
  if (!venue) return null;
  const list = Object.entries(files);
  return [
    table("The chain of minutes and its time stamps", [["File"], ["Bytes", "number"], ["SHA-256"]],
      list.slice(-12).toReversed().map(([path, file]) => [el("a", { href: `/proofs/${path}` }, path), grouped(file.bytes), short(file.sha256)])),
    el("p", {}, "The exchange's public key, as the index names it: ", el("code", { id: "venue" }, venue), ". Take it from where others see it as well."),
  ];
}

part("newest", newest);
part("snapshots", snapshots);
part("openings", openings);
part("minutes", minutes);
