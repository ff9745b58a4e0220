// The audit log, a page at a time from the server, and what the last verification of its chain said.

import { byId, h, listIn, setText } from "./dom.js";
import { clock, counted, moment, words } from "./format.js";

const TYPING_MILLISECONDS = 300;
// a verdict tells of every criterion: the whole text is below, with the body
const SHORT = 140;
let next = null;
let beforeSeq = null;
let asked = 0;
let lastSeq = 0;
let timer = null;
const open = new Set();
const showRows = listIn(byId("audit-rows"), (event) => event.seq, row, (event) => event.hash);

export function startAudit() {
  const form = byId("audit-filter");
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", () => soon(() => load(null), TYPING_MILLISECONDS));
  byId("audit-newest").addEventListener("click", () => load(null));
  byId("audit-older").addEventListener("click", () => { if (next !== null) load(next); });
  load(null);
}

export function showKinds(kinds) {
  const choice = byId("audit-filter").elements.kind;
  // the first one is all
  if (choice.options.length === 1) choice.append(...kinds.map((kind) => h("option", { value: kind }, words(kind))));
}

export function showLog(log) {
  lastSeq = log.last_seq;
  // who reads older pages is not disturbed
  if (beforeSeq === null) soon(() => load(null), 500);
}

export function showChain(chain) {
  const element = byId("chain");
  element.className = `chain ${chain.ok ? "good" : "bad"}`;
  const since = chain.signed_from > 1 ? ` from event ${chain.signed_from}` : "";
  const signed = chain.signed_seq ? `signed${since} up to event ${chain.signed_seq}` : "not signed";
  setText(element, chain.ok
    ? `Chain intact: ${counted(chain.count, "event")}, each fits the one before, and ${counted(chain.marks, "hash")} kept apart agree; ${signed}; checked at ${clock(chain.checked_at)} UTC`
    : `Chain BROKEN at event ${chain.first_bad_seq}: ${chain.reason}; checked at ${clock(chain.checked_at)} UTC`);
}

function soon(act, milliseconds) {
  clearTimeout(timer);
  timer = setTimeout(act, milliseconds);
}

async function load(before) {
  const form = byId("audit-filter");
  const query = new URLSearchParams(new FormData(form));
  if (before !== null) query.set("before_seq", before);
  const mine = ++asked;
  const answer = await fetch(`api/audit?${query}`).catch(() => null);
  // a slower answer to an earlier question must not replace a newer one
  if (mine !== asked) return;
  if (!answer?.ok) return setText(byId("audit-facts"), "The audit log cannot be read now; what is below is older.");
  const page = await answer.json();
  beforeSeq = before;
  next = page.next;
  showRows(page.events);
  byId("audit-older").setAttribute("aria-disabled", String(next === null));
  const count = page.events.length;
  const range = count ? `events ${page.events.at(-1).seq} to ${page.events[0].seq}` : "no event fits";
  setText(byId("audit-facts"), `${count} shown, ${range}, newest is ${Math.max(lastSeq, page.events[0]?.seq ?? 0)}`);
}

function row(event) {
  const body = h("pre");
  const detail = h("details", { open: open.has(event.seq), ontoggle: () => {
    detail.open ? open.add(event.seq) : open.delete(event.seq);
    if (detail.open) setText(body, `${event.what}\n${JSON.stringify(event.body, null, 1)}\nhash ${event.hash}`);
  } }, h("summary", {}, short(event.what) || "details"), body);
  return h("tr", {}, h("td", { class: "tight" }, String(event.seq)), h("td", { class: "tight" }, moment(event.at)),
    h("td", { class: "tight" }, words(event.kind)), h("td", { class: "what" }, detail), h("td", { class: "who" }, event.actor), h("td", { class: "tight" }, event.migration_id));
}

const short = (text) => (text.length > SHORT ? `${text.slice(0, SHORT)} …` : text);
