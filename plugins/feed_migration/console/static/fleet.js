// The map: one button per instance, of which one is in the tab order; arrow keys move.

import { arrange, byId, h, listIn, setText } from "./dom.js";
import { moment, number } from "./format.js";

const STATES = ["ccxt", "native", "restarting", "unhealthy"];
const SIGNS = { ccxt: "c", native: "n", restarting: "↻", unhealthy: "!" };
const MAX_NAMED = 60;
const MAX_FAULTS = 20;
const cells = new Map();
let ids = [];
let chosen = null;

const showCounts = listIn(byId("fleet-counts"), ([state]) => state, ([state, count]) => h("li", {},
  h("span", { class: `cell key ${state}`, "aria-hidden": "true" }, SIGNS[state]), `${count} ${state}`));
const showFaulty = listIn(byId("fleet-faults"), ([id]) => id, ([id, words]) => h("li", {},
  id && h("strong", {}, id), words));

export function showFleet(fleet) {
  showCounts(STATES.map((state) => [state, fleet.counts[state] ?? 0]));
  const map = byId("fleet-map");
  const focused = map.contains(document.activeElement);
  const named = fleet.instances.length <= MAX_NAMED;
  map.classList.toggle("few", named);
  ids = fleet.instances.map(([id]) => id);
  const wanted = new Set(ids);
  for (const id of cells.keys()) {
    if (!wanted.has(id)) cells.delete(id);
  }
  for (const row of fleet.instances) draw(row, named);
  arrange(map, ids.map((id) => cells.get(id)));
  if (!cells.has(chosen)) choose(ids[0] ?? null);
  // that of an instance which has left
  if (focused && !map.contains(document.activeElement)) cells.get(chosen)?.focus();
  showFaults([...fleet.instances, ...fleet.shadows].filter(([, state]) => ["restarting", "unhealthy"].includes(state)));
}

function draw([id, state, variant, reasons], named) {
  let cell = cells.get(id);
  if (!cell) {
    cell = h("button", { type: "button", tabindex: "-1", onclick: () => { choose(id); showOne(id); },
      onkeydown: (event) => move(event, id), onfocus: () => choose(id) });
    cells.set(id, cell);
  }
  const label = `${id} ${state}${reasons ? `: ${reasons}` : ""}`;
  if (cell.title === label && cell.dataset.named === String(named)) return;
  cell.className = `cell ${state}`;
  cell.title = label;
  cell.dataset.named = String(named);
  // who reads sees a sign and perhaps the name, who listens hears name and state
  const rest = label.slice(id.length);
  cell.replaceChildren(h("span", { "aria-hidden": "true" }, SIGNS[state] ?? "?"),
    ...(named ? [` ${id}`, h("span", { class: "said" }, rest)] : [h("span", { class: "said" }, label)]));
}

function choose(id) {
  cells.get(chosen)?.setAttribute("tabindex", "-1");
  chosen = id;
  cells.get(chosen)?.setAttribute("tabindex", "0");
}

function move(event, id) {
  const perRow = Math.max(1, getComputedStyle(byId("fleet-map")).gridTemplateColumns.split(" ").length);
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: perRow, ArrowUp: -perRow }[event.key];
  const target = event.key === "Home" ? ids[0] : event.key === "End" ? ids.at(-1) : ids[ids.indexOf(id) + step];
  if (target === undefined) return;
  event.preventDefault();
  cells.get(target).focus();
}

async function showOne(id) {
  const answer = await fetch(`api/instances/${encodeURIComponent(id)}`).catch(() => null);
  if (!answer?.ok) return setText(byId("fleet-one"), `${id}: nothing is known of it now`);
  const one = await answer.json();
  const since = one.started_at ? `, started ${moment(one.started_at)} UTC` : "";
  const why = one.reasons.length ? `: ${one.reasons.join("; ")}` : "";
  setText(byId("fleet-one"), `${one.id}: ${one.variant}, ${one.ready ? "ready" : "not ready"}, `
    + `${one.healthy ? "healthy" : "not healthy"}${why}; ${number(one.messages)} messages, ${number(one.trades)} trades, pid ${one.pid}${since}`);
}

function showFaults(faulty) {
  const more = faulty.length > MAX_FAULTS ? [[null, `and ${faulty.length - MAX_FAULTS} more`]] : [];
  showFaulty([...faulty.slice(0, MAX_FAULTS).map(([id, state, , reasons]) => [id, ` ${state}${reasons ? `: ${reasons}` : ""}`]), ...more]);
}
