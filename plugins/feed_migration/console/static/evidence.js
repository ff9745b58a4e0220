// What speaks for the next step: the last gate's verdict in a line, its criteria as a table.

import { h, newTab } from "./dom.js";
import { words } from "./format.js";

const HEAD = ["Criterion", "Value", "Threshold", "Outcome"];

// null is no gate so far
export function evidence(of) {
  if (!of) return [h("p", {}, "No gate has run yet: nothing was measured that could speak for it.")];
  const line = h("p", {}, "Last gate, ", h("strong", {}, words(of.step)), `: ${of.line}.`);
  if (!of.rows.length) return [line];
  return [line, h("div", { class: "scroll" }, h("table", {},
    h("thead", {}, h("tr", {}, HEAD.map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, of.rows.map(row))))];
}

function row(one) {
  const name = one.link ? leading(one.criterion, one.link) : one.criterion;
  return h("tr", {},
    h("th", { scope: "row" }, name, one.series ? h("span", { class: "muted" }, ` ${one.series}`) : null),
    h("td", { class: "number" }, one.value), h("td", {}, one.threshold),
    h("td", { class: `outcome ${one.outcome}` }, one.outcome));
}

const leading = (text, link) => h("a", { href: link, rel: "noopener noreferrer", target: newTab }, text);
