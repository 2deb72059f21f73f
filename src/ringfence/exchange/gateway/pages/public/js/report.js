/** The form: seal, send, show the receipt once; and with a receipt: states, answers, something to add. */

import { get, post } from "./api.js";
import { grouped } from "./exact.js";
import { el, mark, note, table, time } from "./page.js";
import { age, newReply, open, readReceipt, receiptOf, seal } from "./sealing.js";

const FIELDS = ["title", "where", "steps", "impact", "vector", "contact", "thanks"];
const VECTOR = /^CVSS:4\.0(\/[A-Z]{1,3}:[A-Za-z]+){11,}$/;
const byId = (id) => document.getElementById(id);

let recipient = "";
let receipt;

async function begin() {
  try {
    const policy = await get("/securityPolicy");
    await age();
    recipient = policy.recipient;
    byId("sealing").replaceChildren(`It is sealed for the role ${policy.role}: `, el("code", {}, recipient));
    byId("send").disabled = false;
  } catch (error) {
    byId("sealing").textContent = `Reports cannot be taken now: ${error.message}.`;
  }
}

byId("report").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const fields = Object.fromEntries(FIELDS.map((name) => [name, form.elements[name].value.trim()]).filter(([, value]) => value));
  const wrong = complaint(fields);
  say("outcome", wrong ?? "");
  if (wrong) return;
  byId("send").disabled = true;
  try {
    const reply = await newReply();
    const answer = await post("/securityReport", { report: await seal({ ...fields, reply: reply.recipient }, recipient) });
    form.reset();
    form.hidden = true;
    showReceipt(receiptOf(answer.id, answer.secret, reply.identity), answer);
  } catch (error) {
    say("outcome", `Nothing was sent: ${error.message}`);
  }
  byId("send").disabled = false;
});

function complaint(fields) {
  if (!fields.title || !fields.steps) return "Say what it is, and what you did and saw: both are required.";
  if (fields.vector && !VECTOR.test(fields.vector)) return "The vector is none of CVSS v4.0; leave it empty if in doubt.";
  return undefined;
}

function showReceipt(text, answer) {
  const shown = el("textarea", { id: "saved", readonly: true, rows: "3", spellcheck: "false" });
  shown.value = text;
  const copied = el("span", { role: "status" });
  const copy = el("button", { type: "button", class: "small" }, "Copy");
  copy.addEventListener("click", async () => {
    shown.select();
    try {
      await navigator.clipboard.writeText(text);
      copied.textContent = "Copied.";
    } catch {
      copied.textContent = "It is selected: copy it by hand.";
    }
  });
  const title = el("h3", { tabindex: "-1" }, "Received. Save your receipt now: it is shown once.");
  byId("receipt").replaceChildren(el(
    "div", { class: "receipt" }, title,
    el("p", {}, `Report ${answer.id}. Somebody reads it until `, time(answer.due?.timestamp), " UTC."),
    el("label", { for: "saved" }, "Receipt", el("span", { class: "hint" }, "Whoever has it reads the answers to you. Nobody can make it again.")),
    shown, el("div", { class: "bar" }, copy, copied),
  ));
  title.focus();
}

byId("look").addEventListener("submit", async (event) => {
  event.preventDefault();
  say("trouble", "");
  try {
    receipt = readReceipt(byId("mine").value);
    await show(await post("/securityReport/state", { id: receipt.id, secret: receipt.secret }));
  } catch (error) {
    byId("found").replaceChildren();
    byId("more").hidden = true;
    say("trouble", error.message);
  }
});

byId("more").addEventListener("submit", async (event) => {
  event.preventDefault();
  const field = byId("addition");
  if (!field.value.trim()) return say("added", "There is nothing to add.");
  try {
    const sealed = await seal({ addition: field.value.trim() }, recipient);
    await show(await post("/securityReport", { id: receipt.id, secret: receipt.secret, report: sealed }));
    field.value = "";
    say("added", "It was added.");
  } catch (error) {
    say("added", `Nothing was sent: ${error.message}`);
  }
  return undefined;
});

async function show(said) {
  const due = said.due;
  const messages = await Promise.all(said.messages.map(async (one) => el(
    "article", {}, el("h3", {}, `${one.by}, `, time(one.timestamp)),
    el("pre", { class: "wraps" }, await open(one.sealed, receipt.identity).catch(() => "This cannot be opened with your receipt.")),
  )));
  byId("found").replaceChildren(
    el("p", {}, `Report ${said.id}: `, mark(due?.isMissed ? "bad" : "good", said.state),
      due ? el("span", {}, ` ${due.what} until `, time(due.timestamp), due.isMissed ? " UTC: we are late." : " UTC") : " nothing is due any more"),
    table("Its way so far", [["State"], ["Since", "time"]], said.steps.map((one) => [one.state, time(one.timestamp)])),
    table("What we make of it", [["Band"], ["Vector"], ["Reward in USD", "number"], ["Additions", "number"]],
      [[said.band ?? "not said yet", said.vector, grouped(said.rewardUsd), said.followUps]]),
    ...(messages.length ? messages : [note("Nothing was written to you yet.")]),
  );
  byId("more").hidden = false;
}

function say(id, text) {
  byId(id).textContent = text;
  byId(id).className = text ? "trouble" : "";
}

begin();
