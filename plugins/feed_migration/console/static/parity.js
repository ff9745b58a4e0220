// What the two feeds disagreed on while they ran side by side.

import { byId, h, onChange, setText } from "./dom.js";
import { counted, moment } from "./format.js";

const showSamples = onChange((samples, count, head) => {
  const place = byId("parity-samples");
  place.hidden = samples.length === 0;
  if (place.hidden) return place.replaceChildren();
  place.replaceChildren(h("table", {},
    h("caption", { class: "muted" }, `${samples.length} of ${count} kept examples, native's first`),
    h("thead", {}, h("tr", {}, head.map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, samples.map((row) => h("tr", {}, row.map((cell) => h("td", {}, cell)))))));
});

export function showParity(parity, migration) {
  const facts = byId("parity-facts");
  if (!parity.shards) return setText(facts, "No shadow process has left evidence yet.");
  const compared = parity.compared.map((row) => `${row.agreed} of ${row.compared} ${row.kind}s agreed`);
  const blamed = parity.disagreements.map((row) => `${row.count} × ${row.kind} blamed on ${row.blamed}`);
  setText(facts, `${whose(parity, migration)}${[
    ...compared, blamed.length ? blamed.join(", ") : "nothing differed",
    `${parity.unsettled} unsettled`, counted(parity.shards, "shadow process"), ...parity.problems,
  ].join("; ")}.`);
  showSamples(parity.samples, parity.sample_count, parity.sample_head);
}

// the files of the last comparison stay until the next one begins
function whose(parity, migration) {
  if (!parity.written_at) return "";
  const at = `last compared at ${moment(parity.written_at)} UTC`;
  if (!migration?.started_at) return `${at}: `;
  return parity.written_at < migration.started_at
    ? `Of an earlier migration, ${at}; this one has compared nothing yet. `
    : `Of ${migration.id}, ${at}: `;
}
