// Head, track, approvals and who watches.

import { byId, h, newTab, setText } from "./dom.js";
import { evidence } from "./evidence.js";
import { clock, moment, span, words } from "./format.js";
import { serverNow } from "./live.js";

const STATES = {
  done: "✓ done", running: "▶ running", waiting: "◆ waits for approval", held: "‖ held",
  going_back: "↩ going back", rolled_back: "↩ rolled back", pending: "· to come",
};

let lease = null;
let approvalsText = "";

export function showMigration(view, onAnswer) {
  const begun = view.started_at ? `, begun ${moment(view.started_at)} UTC` : "";
  const ended = view.ended_at ? `, ended ${clock(view.ended_at)} UTC` : "";
  const facts = view.id ? `${view.id}, plan ${view.plan}, ${words(view.status)}${begun}${ended}` : "No migration yet";
  setText(byId("facts"), facts);
  byId("report").hidden = !view.id;
  byId("report").target = newTab ?? "";
  byId("report").href = `report?migration=${encodeURIComponent(view.id ?? "")}`;
  setText(byId("why"), view.why);
  byId("track").replaceChildren(...view.steps.map(stepItem));
  lease = view.lease;
  showLease();
  const text = JSON.stringify(view.approvals);
  if (text !== approvalsText) {
    approvalsText = text;
    byId("approvals").replaceChildren(...view.approvals.map((asked) => approval(asked, onAnswer)));
  }
}

// called every second: what is left of a lease goes down without news
export function showLease() {
  if (lease === null) return setText(byId("lease"), "");
  const left = lease.expires_at - serverNow();
  const until = left > 0 ? `${span(left)} left, until ${moment(lease.expires_at)} UTC` : `ended ${span(-left)} ago`;
  const counts = lease.counts ? "" : " (nothing is exposed)";
  setText(byId("lease"), `Lease: ${lease.holder}, ${until}${counts}`);
}

function stepItem(step) {
  const share = step.percent ? `${step.percent} % on native` : words(step.phase);
  const current = ["running", "waiting", "held", "going_back"].includes(step.state);
  return h("li", { class: step.state, "aria-current": current ? "step" : null },
    h("span", { class: "name", title: share }, words(step.name)), " ",
    h("span", { class: "state" }, STATES[step.state] ?? step.state));
}

function approval(asked, onAnswer) {
  const until = asked.until ? `, no answer by ${moment(asked.until)} UTC is a no` : "";
  return h("div", { class: "approval" },
    h("p", {}, h("strong", {}, asked.subject)),
    h("p", { class: "muted" }, `Asked at ${moment(asked.asked_at)} UTC${until}.`),
    h("details", {}, h("summary", {}, "What speaks for it"),
      h("div", { class: "evidence", role: "group", "aria-label": "What speaks for it", tabindex: "0" }, evidence(asked.evidence))),
    h("div", { class: "buttons" },
      h("button", { type: "button", class: "plain", "data-act": "approve", onclick: () => onAnswer("approve", asked) }, "Approve …"),
      h("button", { type: "button", "data-act": "reject", onclick: () => onAnswer("reject", asked) }, "Reject …")));
}
