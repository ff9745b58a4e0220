"""What can be seen of a migration from outside, and what is illegal to see."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feed_migration.events import EventKind
from feed_migration.journal.anchors import read_anchors
from feed_migration.journal.keys import AuditPlace
from feed_migration.journal.seals import MEASURED
from feed_migration.phases import MigrationState, Status
from tests.chaos.boundaries.disk_fleet import NAMES
from tests.chaos.boundaries.script import PLAN, Scene

ONCE = (
    EventKind.MIGRATION_STARTED,
    EventKind.VERDICT,
    EventKind.STEP_PROMOTED,
    EventKind.MIGRATION_FINISHED,
)
"""Facts: however often a call is made again, the journal has each of them once."""


@dataclass(frozen=True)
class View:
    """The state and the facts of the newest migration, and what runs; free of times and ids."""

    state: Mapping[str, Any]
    facts: Mapping[str, int]
    verdicts: tuple[str, ...]
    measured: int
    runs: Mapping[str, str]
    """Instance → variant; the shadow is among them while it runs."""


def look(scene: Scene, runs: Mapping[str, str]) -> View:
    """Look without touching anything."""
    state, migration_id = scene.state, scene.migration_id
    events = scene.journal.events(migration_id)
    counts = Counter(event.kind for event in events)
    # the seal that a verdict names is hashed over the migration's id
    bodies = [{**e.body, MEASURED: ""} for e in events if e.kind == EventKind.VERDICT]
    verdicts = [json.dumps(body, sort_keys=True) for body in bodies]
    return View(
        state=_said(state),
        facts={str(kind): counts[kind] for kind in ONCE},
        verdicts=tuple(verdicts),
        measured=sum(
            len(scene.journal.measurements(migration_id, step.name)) for step in PLAN.steps
        ),
        runs=dict(runs),
    )


def wrongs(scene: Scene, runs: Mapping[str, str]) -> Iterator[str]:
    """What no kill may ever leave, recovered from or not."""
    state = scene.state
    exposed = {name for name in NAMES if runs.get(name) != "ccxt"} - set(state.exposed)
    if exposed:
        yield f"on native, and the journal knows nothing of it: {sorted(exposed)}"
    if set(runs.values()) - {"ccxt", "native", "shadow"}:
        yield f"neither of the feeds: {dict(runs)}"
    if state.ignored:
        yield f"the journal has events that do not count: {state.ignored}"
    found = scene.journal.verify()
    # of an empty journal there is no head to be signed
    if found.count and not found.ok:
        yield f"the audit does not verify: {found.reason}"
    heads = [head.seq for head in scene.journal.heads()]
    anchored = [head and head.seq for head in read_anchors(AuditPlace.of(scene.home, {}).anchors)]
    if heads != anchored:
        yield f"heads {heads} are anchored as {anchored}"
    if not scene.spool.is_empty():
        yield "events wait in the spool"
    yield from _wrong_epochs(scene)


def not_rolled_back(view: View) -> Iterator[str]:
    """What a verified rollback may not leave."""
    if view.state["status"] != Status.ROLLED_BACK or view.state["exposed"]:
        yield f"not rolled back: {view.state}"
    if dict(view.runs) != dict.fromkeys(NAMES, "ccxt"):
        yield f"still runs: {dict(view.runs)}"


def off_course(name: str, view: View) -> Iterator[str]:
    """Where the state after the act `name`, done in peace, is not what the act is for.

    What every kill is compared with comes from the product itself: one that does nothing would do
    nothing after a kill, too.
    """
    step = next((one for one in PLAN.steps if name == f"{one.name} advance"), None)
    if step is not None and step.percent is not None:
        want = list(NAMES[: -(-len(NAMES) * step.percent // 100)])
        native = [each for each in NAMES if view.runs.get(each) == "native"]
        if native != want or list(view.state["exposed"]) != want:
            yield f"{name} puts {native} on native instead of {want}: {view.state}"
    if step is not None and step.phase == "shadow" and "shadow" not in view.runs.values():
        yield f"{name} starts no shadow"
    if name == "finish" and view.state["status"] != Status.PROMOTED:
        yield f"the migration ends {view.state['status']}"
    if name.startswith("rollback"):
        yield from not_rolled_back(view)


def differences(want: View, seen: View) -> Iterator[str]:
    """Where a state is not the one after the act."""
    for name in ("state", "facts", "verdicts", "measured", "runs"):
        was, is_now = getattr(want, name), getattr(seen, name)
        if was != is_now:
            yield f"{name} must be {was}, is {is_now}"


def _wrong_epochs(scene: Scene) -> Iterator[str]:
    events = scene.journal.events()
    taken = [
        event.body["epoch"]
        for event in events
        if event.kind in {EventKind.MIGRATION_STARTED, EventKind.ROLLBACK_STARTED}
    ]
    if taken != sorted(taken):
        yield f"epochs went back: {taken}"
    acted = [e.body["epoch"] for e in events if e.kind == EventKind.ACT_CONFIRMED]
    if scene.fleet.epoch() < max(acted, default=0):
        yield f"the fence is at {scene.fleet.epoch()}, below acts at {acted}"


def _said(state: MigrationState) -> dict[str, Any]:
    names = ("status", "step", "phase", "promoted", "proven", "approved", "exposed", "runs")
    pending = dict(state.pending_act or {}).get("act")
    return {**{name: getattr(state, name) for name in names}, "pending": pending}


def evidence(folder: Path) -> str:
    """What an actor said last, for a report."""
    log = folder / "actors.log"
    return log.read_text()[-2000:] if log.exists() else ""
