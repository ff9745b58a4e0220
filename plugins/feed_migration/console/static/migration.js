// Head, track, approvals and who watches.

import { arrange, byId, h, listIn, newTab, onChange, setText } from "./dom.js";
import { evidence } from "./evidence.js";
import { clock, moment, span, words } from "./format.js";
import { serverNow } from "./live.js";
import { namesOf } from "./who.js";

const STATES = {
  done: "✓ done", running: "▶ running", waiting: "◆ waits for approval", held: "‖ held",
  going_back: "↩ going back", rolled_back: "↩ rolled back", pending: "· to come",
};

const showSteps = listIn(byId("track"), (step) => step.name, stepItem);
let lease = null;
let questions = new Map();

export const questionKey = (one) => JSON.stringify([one.dag_id, one.run_id, one.task_id, one.map_index]);

export function showMigration(view, onAnswer) {
  const begun = view.started_at ? `, begun ${moment(view.started_at)} UTC` : "";
  const ended = view.ended_at ? `, ended ${clock(view.ended_at)} UTC` : "";
  const facts = view.id ? `${view.id}, plan ${view.plan}, ${words(view.status)}${begun}${ended}` : "No migration yet";
  setText(byId("facts"), facts);
  byId("report").hidden = !view.id;
  byId("report").target = newTab ?? "";
  byId("report").href = `report?migration=${encodeURIComponent(view.id ?? "")}`;
  setText(byId("why"), view.why);
  showSteps(view.steps);
  lease = view.lease;
  showLease();
  showQuestions(view.approvals, onAnswer);
}

function showQuestions(asked, onAnswer) {
  const place = byId("approvals");
  const focused = place.contains(document.activeElement);
  questions = new Map(asked.map((one) => {
    const key = questionKey(one);
    return [key, questions.get(key) ?? question(key, onAnswer)];
  }));
  const all = [...questions.values()];
  all.forEach((one, index) => one.show(asked[index]));
  arrange(place, all.map((one) => one.item));
  // an answered question takes its buttons along
  if (focused && !place.contains(document.activeElement)) byId("main").focus({ preventScroll: true });
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

function question(key, onAnswer) {
  const subject = h("strong"), when = h("p", { class: "muted" });
  const proof = h("div", { class: "evidence", role: "group", "aria-label": "What speaks for it", tabindex: "0" });
  const showProof = onChange((of) => proof.replaceChildren(...evidence(of)));
  let asked = null;
  const button = (act, label, look) =>
    h("button", { type: "button", class: look, "data-act": act, "data-question": key, onclick: () => onAnswer(act, asked) }, label);
  const item = h("div", { class: "approval" },
    h("p", {}, subject), when,
    h("details", {}, h("summary", {}, "What speaks for it"), proof),
    h("div", { class: "buttons" }, button("approve", "Approve …", "plain"), button("reject", "Reject …", null)));
  return { item, show(now) {
    asked = now;
    const until = now.until ? `, no answer by ${moment(now.until)} UTC is a no` : "";
    setText(subject, now.subject);
    const who = now.may_answer.length ? ` May answer: ${namesOf(now.may_answer)}.` : "";
    setText(when, `Asked at ${moment(now.asked_at)} UTC${until}.${who}`);
    showProof(now.evidence);
  } };
}
