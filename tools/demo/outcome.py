"""What the demo found in the end, and whether that is what should have happened."""

import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from feed_migration.journal.store import Journal
from tools.demo.faults import FAULT_STEP
from tools.demo.stack import POLL_SECONDS, Stack
from tools.demo.trades import TradeAccount, account, published_trades, taped_trades

DRAIN_DEADLINE_SECONDS = 20.0


@dataclass(frozen=True)
class Outcome:
    """The machine-readable report, var/report.json."""

    outcome: str
    expected: str
    phase: str
    step: str
    fault: str | None
    fault_injected: bool
    instances: dict[str, int]
    ready_instances: int
    trades_published: int
    trades_missing: int
    trades_duplicated: int
    trades_altered: int
    breach_to_rollback_s: float | None
    dag_run_state: str
    audit_ok: bool
    incident_documented: bool
    wall_s: float

    @property
    def as_expected(self) -> bool:
        """Whether what should happen, happened; only then the demo exits 0."""
        return not self.surprises

    @property
    def surprises(self) -> tuple[str, ...]:
        """Each expectation that was not met, in words."""
        promoted = self.expected == "promoted"
        fleet = {"native" if promoted else "ccxt": sum(self.instances.values())}
        facts = {
            f"outcome is {self.outcome}, not {self.expected}": self.outcome == self.expected,
            f"instances are {self.instances}, not {fleet}": self.instances == fleet,
            f"only {self.ready_instances} instances are ready": (
                self.ready_instances == sum(self.instances.values())
            ),
            f"the DAG run is {self.dag_run_state}": (
                self.dag_run_state == ("success" if promoted else "failed")
            ),
            "the audit chain does not verify": self.audit_ok,
            f"{self.trades_missing} trades are missing": self.trades_missing == 0,
            f"{self.trades_duplicated} trades are duplicated": self.trades_duplicated == 0,
            f"{self.trades_altered} trades are altered": self.trades_altered == 0,
            "no trade was published": self.trades_published > 0,
            "the incident is not documented": promoted or self.incident_documented,
            **self._fault_facts(),
        }
        return tuple(text for text, holds in facts.items() if not holds)

    def _fault_facts(self) -> dict[str, bool]:
        """A rollback proves something only where it answers the fault that was injected."""
        rolled_back = self.breach_to_rollback_s is not None
        if self.fault is None:
            return {"something was rolled back": not rolled_back}
        return {
            f"the fault {self.fault} was never injected": self.fault_injected,
            f"it ended in {self.step}, not in {FAULT_STEP}": self.step == FAULT_STEP,
            "no rollback was verified": rolled_back,
        }


def drain(stack: Stack) -> TradeAccount:
    """Stop the venue's market, let the fleet catch up, and count every trade.

    Waits until nothing is missing or DRAIN_DEADLINE_SECONDS have passed.
    """
    stack.venue("POST", "/sandbox/market/pause")
    published = _published(stack)
    deadline = time.monotonic() + DRAIN_DEADLINE_SECONDS
    while True:
        result = account(published, taped_trades(stack.layout.home / "tapes"))
        if not result.missing or time.monotonic() > deadline:
            return result
        time.sleep(POLL_SECONDS)


def conclude(
    stack: Stack,
    journal: Journal,
    migration_id: str,
    *,
    fault: str | None,
    fault_injected: bool,
    dag_run_state: str,
    began: float,
) -> tuple[Outcome, TradeAccount]:
    """Gather the outcome while the stack still runs. `began` is a monotonic time."""
    state = journal.state(migration_id)
    statuses = stack.fleet.instances()
    trades = drain(stack)
    incident = stack.layout.home / "docs" / "migrations" / "backpack_ccxt.md"
    outcome = Outcome(
        outcome=str(state.status),
        expected="rolled_back" if fault else "promoted",
        phase=state.phase or "",
        step=state.step or "",
        fault=fault,
        fault_injected=fault_injected,
        instances=dict(Counter(str(status.variant) for status in statuses)),
        ready_instances=sum(status.ready for status in statuses),
        trades_published=trades.published,
        trades_missing=len(trades.missing) + len(trades.invented),
        trades_duplicated=len(trades.duplicated),
        trades_altered=len(trades.altered),
        breach_to_rollback_s=_breach_to_rollback(journal, migration_id),
        dag_run_state=dag_run_state,
        audit_ok=journal.verify().ok,
        incident_documented=incident.exists() and migration_id in incident.read_text(),
        wall_s=round(time.monotonic() - began, 1),
    )
    return outcome, trades


def _published(stack: Stack) -> dict[tuple[str, int], Any]:
    table = stack.catalogue()
    published: dict[tuple[str, int], Any] = {}
    for symbol, raw in table.to_venue.items():
        if table.states[raw] != "Open":
            continue
        rows = stack.venue("GET", f"/sandbox/truth/trades?symbol={raw}").json()
        published |= published_trades(rows, symbol)
    return published


def _breach_to_rollback(journal: Journal, migration_id: str) -> float | None:
    for event in journal.events(migration_id=migration_id, kind="rollback_verified"):
        seconds = event.body.get("breach_to_rollback_seconds")
        return None if seconds is None else round(float(seconds), 1)
    return None
