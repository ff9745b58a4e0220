"""Whether a migration came to a legal end, by its journal, its fleet and its tapes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from feed_migration.events import Event
from feed_migration.model import Decision
from feed_migration.phases import MigrationState, Status, apply
from tests.chaos.nemesis.stage import Stage
from tests.support.conditions import eventually_sync
from tools.demo.outcome import drain
from tools.demo.trades import TradeAccount, TradeKey

SETTLE_SECONDS = 120.0
DRAINS = 5
# What a breach takes to show in a window, and a verdict to be written on a busy machine
SEEN_SECONDS = 20.0
# What an actor that was overtaken may still say, and is rightly not heard
OVERTAKEN = frozenset({"act_intended", "act_confirmed", "step_started", "held", "rollback_act"})
ENDS = (Status.PROMOTED, Status.ROLLED_BACK, Status.HELD)


@dataclass(frozen=True)
class Trades:
    """The trades that the tapes of the fleet have lost, or have twice or otherwise wrong, so far.

    `compared` were published since the tapes began, `native` of those on the tapes came natively.
    """

    lost: frozenset[TradeKey] = frozenset()
    repeated: frozenset[TradeKey] = frozenset()
    wrong: frozenset[TradeKey] = frozenset()
    compared: int = 0
    native: int = 0


def wanted_variants(state: MigrationState, names: Sequence[str]) -> dict[str, str] | None:
    """Where each instance must be at this end; None where it is no end."""
    if state.status not in ENDS:
        return None
    native = {
        Status.PROMOTED: set(names),
        Status.HELD: set(state.exposed),
    }.get(state.status, set())
    return {name: "native" if name in native else "ccxt" for name in names}


def illegal_end(stage: Stage, state: MigrationState) -> list[str]:
    """What is wrong with how the fleet stands; an instance that was struck may be on its way."""
    names = list(stage.variants())
    wanted = wanted_variants(state, names)
    if wanted is None:
        return [f"the migration ended as {state.status} at {state.step}, exposed {state.exposed}"]
    try:
        eventually_sync(lambda: stage.variants() == wanted, SETTLE_SECONDS)
    except AssertionError:
        return [f"{state.status}, so the fleet should be {wanted}, and is {stage.variants()}"]
    return []


def journal_faults(events: Sequence[Event]) -> list[str]:
    """What one migration's events claim and do not bear out."""
    wrong: list[str] = []
    state, proven = MigrationState(), set[str]()
    for event in events:
        step = str(event.body.get("step", ""))
        decision = event.body.get("decision")
        if event.kind == "verdict" and decision == Decision.PROMOTE:
            proven.add(step)
        if event.kind == "approval" and decision == "Promote" and event.body.get("reason"):
            proven.add(step)
        wrong += _unearned(state, event, step, proven)
        ignored, state = state.ignored_count, apply(state, event)
        if state.ignored_count > ignored and event.kind not in OVERTAKEN:
            wrong.append(f"event {event.seq} {event.kind} is not borne out")
    return wrong


def _unearned(state: MigrationState, event: Event, step: str, proven: set[str]) -> list[str]:
    facts: Mapping[str, object] = state.step_facts(step)
    if event.kind == "step_promoted" and facts.get("gated") and step not in proven:
        return [f"event {event.seq}: {step} is promoted without a Promote"]
    if event.kind == "rollback_started" and state.status is Status.PROMOTED:
        return [f"event {event.seq}: a promoted fleet was taken back: {event.body.get('reason')}"]
    if event.kind == "act_intended" and event.body.get("variant") == "native":
        names = [str(one.get("name")) for one in state.steps]
        earlier = names[: names.index(step)] if step in names else names
        if missing := set(earlier) - set(state.promoted):
            return [f"event {event.seq}: {step} began before {', '.join(sorted(missing))}"]
    return []


def promoted_in_breach(events: Sequence[Event], breached_at: float) -> list[str]:
    """Steps promoted so long after the native feed broke for good that their gate must have seen it.

    Not for a trial whose Prometheus replays good answers as new: nothing tells those from the truth.
    """
    return [
        f"{event.body.get('step')} was promoted {event.at - breached_at:.0f} s after the breach"
        for event in events
        if event.kind == "step_promoted" and event.at > breached_at + SEEN_SECONDS
    ]


def compare_trades(stage: Stage) -> Trades:
    """Every trade of the venue against the tapes, once the fleet has caught up; the market halts."""
    account: TradeAccount = drain(stage.stack)
    for _ in range(DRAINS):
        if account.exact:
            break
        account = drain(stage.stack)
    stage.stack.venue("POST", "/sandbox/market/resume")
    return Trades(
        lost=frozenset(account.missing),
        repeated=frozenset(account.duplicated),
        wrong=frozenset(account.altered) | frozenset(account.invented),
        compared=account.published,
        native=native_trades(stage.home / "tapes"),
    )


def native_trades(tapes: Path) -> int:
    """How many trades below `tapes` were taken down by a native feed."""
    return sum(
        json.loads(line)["variant"] == "native"
        for path in tapes.glob("*/trades.jsonl")
        for line in path.read_text().splitlines()
    )
