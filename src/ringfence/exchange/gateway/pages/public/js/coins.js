/** Chain against ledger, which policy binds the co-signers, and who was drawn to sign. */

import { get } from "./api.js";
import { coinOf, decimal, grouped } from "./exact.js";
import { el, mark, note, part, short, table, time } from "./page.js";

const COMPARISONS = 20;

async function reconciliation() {
  const all = await custody(`/custody/reconciliation?count=${COMPARISONS}`);
  const rows = all?.filter((row, at) => all.findIndex((other) => other.asset === row.asset) === at);
  if (!rows) return nobody();
  if (!rows.length) return note("Chain and ledger were not compared yet.");
  const nodes = [table("Newest comparison, in whole coins", [
    ["Coin"], ["Verdict"], ["Held for clients", "number"], ["Owed to clients", "number"], ["Explained", "number"],
    ["Difference", "number"], ["Block", "number"], ["Ledger at", "number"], ["Compared", "time"],
  ], rows.map((one) => [
    coinOf(one.asset), one.agrees ? mark("good", "agrees") : mark("bad", "differs"), decimal(one.held.clients, Number(one.scale)),
    decimal(one.owed, Number(one.scale)), decimal(inFlight(one), Number(one.scale)), decimal(one.difference, Number(one.scale)),
    grouped(one.height), grouped(one.sequence), time(one.timestamp),
  ]))];
  const flight = rows.flatMap((one) => one.inFlight.map((item) => [
    coinOf(one.asset), item.what, item.count, decimal(item.amount, Number(one.scale)),
  ]));
  if (flight.length) {
    nodes.push(table("What explains the rest: coins in flight, and money for fees that is no client's", [
      ["Coin"], ["What", "words"], ["Movements", "number"], ["Sum", "number"],
    ], flight));
  }
  nodes.push(table("Where each chain was read", [["Coin"], ["Chain"], ["Block's hash", "hash"], ["Demo coins, on no chain", "number"]],
    rows.map((one) => [coinOf(one.asset), one.chain, one.block, decimal(one.demo, Number(one.scale))])));
  nodes.push(table(`The comparisons before, at most ${COMPARISONS} of each coin`, [
    ["Compared", "time"], ["Coin"], ["Verdict"], ["Held for clients", "number"], ["Difference", "number"], ["Block", "number"],
    ["Ledger at", "number"],
  ], all.filter((one) => !rows.includes(one)).map((one) => [
    time(one.timestamp), coinOf(one.asset), one.agrees ? mark("good", "agrees") : mark("bad", "differs"),
    decimal(one.held.clients, Number(one.scale)), decimal(one.difference, Number(one.scale)), grouped(one.height),
    grouped(one.sequence),
  ])));
  return nodes;
}

const inFlight = (row) => row.inFlight.reduce((sum, item) => sum + BigInt(item.amount), 0n).toString();

async function policies() {
  const said = await custody("/custody/policies");
  if (!said) return nobody();
  return [
    table("The version in force for each coin and wallet", [
      ["Coin"], ["Chain"], ["Version", "number"], ["Digest", "hash"], ["A change waits", "number"], ["What waits", "words"],
    ], said.policies.map((one) => [
      coinOf(one.asset), one.chain, one.version, one.digest, `${one.changeDelayHours} h`,
      one.pendingDigest ? el("span", {}, `version ${one.pendingVersion}, `, short(one.pendingDigest), " since ", time(one.pendingSince)) : "nothing",
    ])),
    el("p", {}, "Digest of the charter: ", el("code", {}, said.charter)),
  ];
}

async function nominations() {
  const said = await custody("/custody/nominations");
  if (!said) return nobody();
  const nodes = [table("The co-signers", [["Name"], ["Role"], ["Organisation"], ["Site"], ["Identity of its HSM", "hash"]],
    said.roster.map((one) => [one.name, one.role, one.organisation, one.site, one.identity]))];
  nodes.push(said.nominations.length ? table("Newest draws first", [
    ["Batch"], ["Drawn", "time"], ["Sealed at", "number"], ["Decided by block", "number"], ["Block's hash"], ["Signed by"],
    ["Let time pass"], ["Commitments", "number"],
  ], said.nominations.map((one) => [
    one.batch, time(one.timestamp), grouped(one.sealed?.sealed_height), grouped(one.sealed?.height), short(one.block),
    one.quorum.join(", "), one.late.length ? one.late.join(", ") : "nobody", `${one.sealed?.commitments.length ?? 0}`,
  ])) : note("No withdrawal was drawn for yet."));
  nodes.push(el("p", {}, `The coordinator's log has ${grouped(said.log.entries)} entries; its head is `, el("code", {}, said.log.head), "."));
  return nodes;
}

/** Return what custody says, nothing where none runs. */
async function custody(path) {
  try {
    return await get(path);
  } catch (error) {
    if (error.status === 503) return undefined;
    throw error;
  }
}

const nobody = () => note("No custody answers here. If this exchange runs without, all of its coins are demo coins.");

part("reconciliation", reconciliation, { every: 30 });
part("policies", policies);
part("nominations", nominations, { every: 60 });
