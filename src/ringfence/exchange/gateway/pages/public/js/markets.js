/** Insurance fund, deleveraging, what indices are made of, funding. */

import { get } from "./api.js";
import { lineChart } from "./chart.js";
import { coins, coinOf, decimal, grouped, percent, scaleOf } from "./exact.js";
import { el, mark, note, part, table, time } from "./page.js";

async function insurance() {
  const rows = await get("/insurance?count=500");
  const currencies = [...new Set(rows.map((one) => one.currency))];
  if (!currencies.length) return note("The fund was not founded yet.");
  const ordered = (currency) => rows.filter((one) => one.currency === currency).sort((a, b) => (a.timestamp < b.timestamp ? -1 : 1));
  return [
    table("The insurance fund now", [["Coin"], ["Balance", "number"], ["In its smallest unit", "number"], ["As of", "time"]],
      currencies.map((currency) => {
        const last = ordered(currency).at(-1);
        return [coinOf(currency), decimal(last.walletBalance, scaleOf(currency)), grouped(last.walletBalance), time(last.timestamp)];
      })),
    ...currencies.map((currency) => lineChart(`Insurance fund in ${coinOf(currency)}, each day at noon UTC and now`,
      ordered(currency).map((one) => ({ at: one.timestamp, value: one.walletBalance, label: coins(one.walletBalance, currency) })))),
  ];
}

async function deleveraging() {
  const rows = await get("/deleverage?reverse=true&count=100");
  if (!rows.length) return note("Nobody was ever deleveraged here.");
  return rows.flatMap((one) => [
    table(`Receipt ${one.id}: ${one.symbol}, ${one.timestamp.slice(0, 19).replace("T", " ")} UTC`, [
      ["Fund's side"], ["Price", "number"], ["Contracts that nobody took", "number"], ["Taken", "number"], ["How"], ["Accounts ranked", "number"],
    ], [[one.side, grouped(one.price), grouped(one.shortfallQty), grouped(one.takenQty), one.method, grouped(one.rankedAccounts)]]),
    table(`Receipt ${one.id}: who took over`, [["Place", "number"], ["Pseudonym"], ["Contracts", "number"]],
      (one.ranked ?? []).map((who) => [who.place, el("code", {}, who.pseudonym), grouped(who.qty)])),
  ]);
}

async function indices() {
  // An empty symbol asks for all of them at once.
  const [all, every] = await Promise.all([get("/instrument/indices"), get("/instrument/compositeIndex?symbol=&count=500")]);
  const nodes = all.map((index) => {
    const rows = every.filter((one) => one.symbol === index.symbol);
    if (!rows.length) return null;
    const whole = rows.find((one) => one.reference === "BMI");
    return table(`${index.symbol}: ${grouped(index.lastPrice)} at ${(whole?.timestamp ?? index.timestamp ?? "").slice(11, 19)} UTC`
      + (whole?.dropReason ? `, keeps an old price: ${whole.dropReason}` : ""), [
      ["Venue"], ["Price", "number"], ["Weight", "number"], ["Counts"], ["Its own time", "time"],
    ], rows.filter((one) => one.reference !== "BMI").map((one) => [
      one.reference, grouped(one.lastPrice), percent(one.weight),
      one.dropReason ? mark(one.dropReason === "Limited" ? "warn" : "bad", one.dropReason) : mark("good", "counts"), time(one.logged),
    ]));
  });
  const found = nodes.filter((node) => node !== null);
  return found.length ? found : note("No index has a price yet.");
}

async function funding() {
  const active = await get("/instrument/active");
  const perpetuals = active.filter((one) => one.fundingInterval !== null);
  const now = table("Rates that are paid next, and those after", [
    ["Contract"], ["Paid next", "number"], ["At", "time"], ["Predicted after that", "number"], ["Mark", "number"], ["Index", "number"],
  ], perpetuals.map((one) => [
    one.symbol, percent(one.fundingRate), time(one.fundingTimestamp), percent(one.indicativeFundingRate), grouped(one.markPrice),
    grouped(one.indicativeSettlePrice),
  ]));
  const choice = document.getElementById("contract");
  if (!choice.options.length) {
    choice.append(...perpetuals.map((one) => el("option", { value: one.symbol }, one.symbol)));
    choice.addEventListener("change", () => part("past-funding", past));
    part("past-funding", past);
  }
  return now;
}

async function past() {
  const symbol = document.getElementById("contract").value;
  const rows = await get(`/funding?symbol=${encodeURIComponent(symbol)}&reverse=true&count=500`);
  if (!rows.length) return note(`No funding of ${symbol} was paid yet: it is paid at 04:00, 12:00 and 20:00 UTC.`);
  return [
    lineChart(`Funding of ${symbol}, each payment`, rows.toReversed().map((one) => ({ at: one.timestamp, value: one.fundingRate, label: percent(one.fundingRate) }))),
    table(`Funding of ${symbol}, newest first`, [["Time", "time"], ["Rate", "number"], ["Rate of a day", "number"], ["Who paid"]],
      rows.slice(0, 100).map((one) => [time(one.timestamp), percent(one.fundingRate), percent(one.fundingRateDaily), payer(one.fundingRate)])),
  ];
}

const payer = (rate) => (/^-?0(\.0+)?$/.test(rate) ? "nobody" : rate.startsWith("-") ? "shorts" : "longs");

part("insurance", insurance, { every: 60 });
part("deleveraging", deleveraging);
part("indices", indices, { every: 15 });
part("funding", funding, { every: 60 });
