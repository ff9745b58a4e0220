// Wires the page: who looks, the stream, and one function per section.

import { ask, keepTelling, showActs, showUser, startActs } from "./acts.js";
import { showChain, showKinds, showLog, startAudit } from "./audit.js";
import { byId, setText } from "./dom.js";
import { showFleet } from "./fleet.js";
import { clock, moment } from "./format.js";
import { showGate, showGateFacts } from "./gate.js";
import { follow } from "./live.js";
import { showLease, showMigration } from "./migration.js";
import { showParity } from "./parity.js";
import { whoLooks } from "./who.js";

const TOLD = {
  journal: "The journal", fleet: "The fleet", guard: "The guard", parity: "The parity files", chain: "The chain",
  airflow: "Airflow's database",
};
const seen = {};

const show = {
  migration: (view) => { showMigration(view, ask); redraw(); redrawParity(); },
  gate: () => redraw(),
  fleet: showFleet,
  guard: showGuard,
  parity: () => redrawParity(),
  chain: showChain,
  log: showLog,
  airflow: showTroubles,
  sources: showTroubles,
};

function redraw() {
  if (seen.gate) showGate(seen.gate, seen.migration);
  showActs(seen.migration, seen.gate);
}

function redrawParity() {
  if (seen.parity) showParity(seen.parity, seen.migration);
}

function showGuard(guard) {
  setText(byId("guard"), `Guard: ${guard.text}`);
  // where it is not there, it is told as what goes wrong is
  byId("guard").className = ["silent", "hangs"].includes(guard.state) ? "problem" : "muted";
}

function showTroubles() {
  const unread = Object.entries(seen.sources ?? {}).map(
    ([name, trouble]) => `${TOLD[name] ?? name} cannot be read since ${moment(trouble.since)} UTC, what is shown of it is older: ${trouble.error}`);
  keepTelling([seen.airflow?.notice, ...unread].filter(Boolean).join(" · "));
}

function showState(state) {
  const element = byId("live");
  element.classList.toggle("stale", !state.live);
  setText(element, state.live ? "live" : `stale since ${clock(state.since)} UTC: ${state.reason}`);
}

const askWho = () => whoLooks((user) => { showUser(user); showKinds(user.kinds); });

startActs(askWho);
startAudit();
follow((name, value) => { seen[name] = value; show[name](value); }, showState, askWho);
setInterval(() => { showLease(); showGateFacts(); }, 1000);
// without a stream that comes up it is asked, too
askWho();
document.addEventListener("visibilitychange", () => { if (!document.hidden) askWho(); });
