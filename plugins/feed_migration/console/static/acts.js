// Buttons and the one dialog that stands before each act: it says what will happen, under whose name.

import { byId, h, setText } from "./dom.js";
import { evidence } from "./evidence.js";
import { words } from "./format.js";
import { questionKey } from "./migration.js";
import { mayNotAnswer, NOBODY_KNOWN } from "./who.js";

const LABELS = { approve: "Approve", reject: "Reject", hold: "Hold", resume: "Resume", rollback: "Roll back" };
const BUTTONS = ["hold", "resume", "rollback"];
const TOLD_MILLISECONDS = 10000;
const ALLOWED_BY = { approve: "answer", reject: "answer" };
// the way back waits for nothing that the page could not read
const WAY_BACK = { why_not: "", needs_reason: true, effect: "Every instance is put back on the ccxt feed, restarted where it is not, "
  + "and verified. The migration has not been read, so what is on native now is not known here." };

let me = NOBODY_KNOWN;
let askAgain = () => {};
let migration = null;
let gate = null;
let pending = null;
let opener = null;
let standing = "";
let letGo = null;

// `onAsk` is called before each dialog, and ends in `showUser`
export function startActs(onAsk) {
  askAgain = onAsk;
  byId("buttons").replaceChildren(...BUTTONS.map((act) => h("button", { type: "button", "data-act": act,
    class: act === "rollback" ? "strong" : null, onclick: () => ask(act) }, `${LABELS[act]} …`)));
  byId("dialog-no").addEventListener("click", () => byId("dialog").close());
  byId("dialog").addEventListener("close", giveBackFocus);
  byId("dialog-form").addEventListener("submit", (event) => { event.preventDefault(); send(); });
  showActs();
}

export function showUser(user) {
  me = user;
  showActs();
  if (!byId("dialog").open) return;
  showWho();
  const why = refusal(pending.act, pending.approval);
  if (why) setText(byId("dialog-problem"), why);
}

const showWho = () => setText(byId("dialog-who"),
  `Recorded under the name ${me.name ? `${me.name}.` : "that you are logged in with."}`);

export function showActs(newMigration = migration, newGate = gate) {
  [migration, gate] = [newMigration, newGate];
  const focused = document.activeElement;
  for (const button of document.querySelectorAll("button[data-act]")) {
    const why = refusal(button.dataset.act, questionOf(button));
    button.setAttribute("aria-disabled", String(why !== ""));
    button.title = why;
    if (button.dataset.act === "hold") button.hidden = migration?.status === "held";
    if (button.dataset.act === "resume") button.hidden = migration?.status !== "held";
  }
  // Hold and Resume take turns in one place
  if (focused.hidden) firstButton().focus();
}

const firstButton = () => byId("buttons").querySelector("button:not([hidden])");

// the button that opened the dialog may be gone by now, with what it was for
function giveBackFocus() {
  if (opener?.hidden) firstButton().focus();
  else if (opener?.isConnected) opener.focus();
  else byId("main").focus({ preventScroll: true });
}

// `approval` is the one to answer, for approve and reject
function refusal(act, approval) {
  if (me.may && !me.may[ALLOWED_BY[act] ?? act]) return `${me.name || "you"} may not do this in Airflow`;
  return mayNotAnswer(me, approval) || (offerOf(act)?.why_not ?? "the migration has not been read yet");
}

const questionOf = (button) => migration?.approvals.find((one) => questionKey(one) === button.dataset.question);

const offerOf = (act) => migration?.acts[act] ?? (act === "rollback" ? WAY_BACK : null);

export function ask(act, approval = null) {
  const why = refusal(act, approval);
  if (why) return tell(`${LABELS[act]} is not possible: ${why}`);
  const offer = offerOf(act);
  pending = { act, approval, needsReason: offer.needs_reason, busy: false };
  opener = document.activeElement;
  setText(byId("dialog-title"), `${LABELS[act]}${approval ? ` ${words(approval.step)}` : ""}?`);
  // of several questions each has its own
  setText(byId("dialog-effect"), approval?.effects?.[act] ?? offer.effect);
  showWho();
  setText(byId("dialog-problem"), "");
  byId("dialog-evidence").hidden = !approval;
  byId("dialog-evidence").replaceChildren(...(approval ? evidence(approval.evidence) : []));
  setText(byId("dialog-reason-rule"), offer.needs_reason ? "required" : "may be left empty");
  byId("dialog-reason").setAttribute("aria-required", String(offer.needs_reason));
  byId("dialog-reason").value = "";
  const yes = byId("dialog-yes");
  setText(yes, LABELS[act]);
  yes.className = ["rollback", "reject"].includes(act) ? "strong" : "plain";
  byId("dialog").showModal();
  (offer.needs_reason ? byId("dialog-reason") : byId("dialog-no")).focus();
  askAgain();
}

async function send() {
  const { act, approval, needsReason, busy } = pending;
  const reason = byId("dialog-reason").value.trim();
  if (busy) return;
  if (needsReason && reason.length < 3) {
    setText(byId("dialog-problem"), "Say why, in a few words at least.");
    return byId("dialog-reason").focus();
  }
  pending.busy = true;
  const answer = await post(...request(act, approval, reason)).catch(() => null);
  pending.busy = false;
  const body = await answer?.json().catch(() => null);
  if (!answer?.ok) return setText(byId("dialog-problem"), problem(answer, body));
  byId("dialog").close();
  tell(body.done, body.waits ? "warn" : "good");
}

function request(act, approval, reason) {
  if (act === "rollback") return ["backpack_rollback", "rollback", { reason }];
  if (act === "hold") return [gate?.dag_id, "hold", { reason }];
  if (act === "resume") return [gate?.dag_id, "resume", { run_id: gate?.run_id, dry_run: false, reason }];
  const { dag_id, run_id, task_id, map_index } = approval;
  return [dag_id, "answer", { run_id, task_id, map_index, option: act === "approve" ? "Approve" : "Reject", reason }];
}

const post = (dagId, act, body) => fetch(`api/dags/${encodeURIComponent(dagId ?? "backpack_migration")}/${act}`, {
  method: "POST", body: JSON.stringify(body),
  // the second header is one that no other site's form can send
  headers: { "Content-Type": "application/json", "X-Backpack-Console": "1" },
});

function problem(answer, body) {
  if (!answer) return "Airflow does not answer: nothing is known to have happened, look before you repeat.";
  const detail = typeof body?.detail === "string" ? body.detail : JSON.stringify(body?.detail ?? "");
  return `Refused (${answer.status}): ${detail}`;
}

// what an act has come to: said once, and gone after a while; the audit log has it for good
export function tell(text, tone = "bad") {
  say(text, tone);
  clearTimeout(letGo);
  letGo = setTimeout(() => say(standing, "bad"), TOLD_MILLISECONDS);
}

// what is wrong, for as long as it is; "" once it is over
export function keepTelling(text) {
  // each connection says it anew, which must not replace what an act has just come to
  if (text === standing) return;
  standing = text;
  clearTimeout(letGo);
  say(text, "bad");
}

function say(text, tone) {
  const place = byId("trouble");
  place.className = `trouble ${tone}`;
  place.hidden = text === "";
  place.replaceChildren(h("p", {}, text));
}
