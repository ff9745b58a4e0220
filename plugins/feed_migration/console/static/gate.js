// The gate, criterion by criterion. Rows stay the same elements, so that an open query stays open.

import { arrange, byId, h, onChange, setText, svg } from "./dom.js";
import { clock, counted, moment, number, span, words } from "./format.js";
import { serverNow } from "./live.js";

const WIDTH = 130;
const HEIGHT = 28;
const rows = new Map();
let shown = null;
let over = true;

export function showGate(gate, migration) {
  shown = gate;
  over = migration?.step !== gate.step || migration?.status !== "running";
  showGateFacts();
  const wanted = new Set(gate.criteria.map((criterion) => criterion.name));
  for (const name of rows.keys()) {
    if (!wanted.has(name)) rows.delete(name);
  }
  for (const criterion of gate.criteria) {
    let row = rows.get(criterion.name);
    if (!row) rows.set(criterion.name, (row = newRow(criterion.name)));
    update(row, criterion);
  }
  arrange(byId("criteria"), gate.criteria.map((criterion) => rows.get(criterion.name).item));
}

// called every second
export function showGateFacts() {
  if (!shown?.step) return setText(byId("gate-facts"), "No gate has run yet.");
  const title = `${words(shown.step)}, run ${shown.run}`;
  if (shown.verdict) {
    return setText(byId("gate-facts"), `${title}: ended at ${moment(shown.verdict.at)} UTC. ${shown.verdict.line}`);
  }
  const least = over || shown.min_duration_seconds === null ? "" : `, at least ${span(shown.min_duration_seconds)} and at most ${span(shown.max_duration_seconds)}, asked every ${span(shown.interval_seconds)}`;
  const age = serverNow() - shown.started_at;
  const time = age < 0 ? `begins in ${span(-age)}` : over ? `began ${moment(shown.started_at)} UTC, ended without a verdict` : `watched for ${span(age)}`;
  setText(byId("gate-facts"), `${title}: ${time}${least}`);
}

function newRow(name) {
  const row = {
    outcome: h("span", { class: "outcome" }), value: h("span", { class: "number" }),
    spark: h("span"), budget: h("span", { class: "budget" }), threshold: h("span", { class: "threshold" }),
    query: h("code"), detail: h("span"),
  };
  row.showPoints = onChange((points) => row.spark.replaceChildren(sparkline(points)));
  row.showBudget = onChange((left) => row.budget.replaceChildren(...budget(left)));
  row.item = h("li", {},
    h("span", { class: "name" }, breakable(name)), row.outcome, row.value, row.spark, row.budget,
    h("details", { class: "detail" }, h("summary", {}, row.threshold, row.detail), row.query));
  return row;
}

// a long name may break behind an underscore
const breakable = (name) => name.split("_").flatMap((part, index) => index ? ["_", h("wbr"), part] : [part]);

function update(row, criterion) {
  const outcome = criterion.outcome ?? "none";
  row.outcome.className = `outcome ${outcome}`;
  setText(row.outcome, criterion.outcome ?? "not yet");
  const baseline = criterion.baseline === null ? "" : ` (baseline ${number(criterion.baseline)})`;
  setText(row.value, number(criterion.value) + baseline);
  const severity = criterion.severity ? `${criterion.severity}: ` : "";
  setText(row.threshold, severity + (criterion.threshold || "recorded only"));
  setText(row.query, criterion.query);
  setText(row.detail, [criterion.at ? `; at ${clock(criterion.at)}` : "", criterion.detail].filter(Boolean).join(", "));
  row.showPoints(criterion.points);
  row.showBudget(criterion.budget);
}

function budget(left) {
  if (left === null) return [];
  const bar = h("span", { class: left.left_share === 0 ? "none" : left.left_share < 0.34 ? "low" : "" });
  bar.style.width = `${Math.round(left.left_share * 100)}%`;
  return [h("div", { class: "bar", "aria-hidden": "true" }, bar), `budget: ${left.text}`];
}

export function sparkline(points) {
  const finite = points.filter(([, value]) => typeof value === "number");
  const bad = points.filter(([, , outcome]) => outcome === "Failure").length;
  const values = finite.map(([, value]) => value);
  const low = Math.min(...values), high = Math.max(...values);
  const label = finite.length
    ? `last ${points.length}: ${number(low)} to ${number(high)}, ${counted(bad, "failure")}` : "nothing measured yet";
  const first = points.at(0)?.[0] ?? 0;
  const width = (points.at(-1)?.[0] ?? 0) - first || 1;
  const x = (tick) => 3 + (WIDTH - 6) * (tick - first) / width;
  const y = (value) => high === low ? HEIGHT / 2 : HEIGHT - 4 - (HEIGHT - 8) * (value - low) / (high - low);
  const line = finite.map(([tick, value]) => `${x(tick).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
  const marks = points.filter(([, , outcome]) => ["Failure", "Error", "NoData"].includes(outcome)).map(
    ([tick, value, outcome]) => svg("rect", { class: outcome, width: 5, height: 5, x: x(tick) - 2.5,
      y: (typeof value === "number" ? y(value) : HEIGHT - 4) - 2.5 }));
  const last = finite.at(-1);
  return svg("svg", { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label },
    svg("polyline", { points: line }), ...marks,
    last ? svg("circle", { class: "last", cx: x(last[0]), cy: y(last[1]), r: 2.5 }) : null);
}
