"""Gate runs in the journal: which run an attempt belongs to, when it began, how it ended.

A run is one observation of a step from its start to its verdict. Retries and reruns of the same
attempt at the DAG run share a run, so a crash loses no minute; a person who clears the gate
changes the attempt's key, and with it begins a new run with no inherited success.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from feed_migration import phases
from feed_migration.errors import MigrationNotRunning
from feed_migration.events import Event, EventKind
from feed_migration.lease import HANDOVER_SECONDS
from feed_migration.model import Decision, Gate, Verdict
from feed_migration.phases import Status

if TYPE_CHECKING:
    from feed_migration.journal.store import Journal


@dataclass(frozen=True, kw_only=True)
class GateStart:
    """One run of a gate; `started_unix` is the time of its first tick, in seconds."""

    migration_id: str
    step: str
    run: str
    started_unix: float


class Standing(NamedTuple):
    """Where a step is: what an attempt of its gate must have seen before it begins a run."""

    status: Status
    promoted: bool
    keys: tuple[str, ...]


def first_tick_unix(gate: Gate, now_unix: float) -> float:
    """Return when a gate that begins now is to be asked first.

    No query may look back to before the step was made, nor to before Prometheus has scraped it.
    """
    return now_unix + gate.evaluation_delay_seconds + scrape_seconds(gate)


def latest_first_tick_unix(gate: Gate, now_unix: float) -> float:
    """Return when a gate that begins now is to be asked first at the latest.

    So it was with gates of an older version, whose start is in the journal: they waited for their
    slowest criterion.
    """
    confirm_seconds = max((one.confirm_interval_seconds for one in gate.criteria), default=0.0)
    return now_unix + gate.evaluation_delay_seconds + confirm_seconds


def scrape_seconds(gate: Gate) -> float:
    """Return a time within which Prometheus scrapes once.

    A confirm interval is at least one scrape interval, so the shortest of those that decide will
    do: what is asked again after an hour must not leave the others unasked for as long.
    """
    deciding = [one for one in gate.criteria if one.decides] or gate.criteria
    return min((one.confirm_interval_seconds for one in deciding), default=0.0)


def standing_of(events: Sequence[Event], step: str) -> Standing:
    """Return where `step` is after a migration's events (all but notes), with its runs' keys."""
    state = phases.fold(events)
    keys = tuple(str(body["key"]) for body in _starts(events, step))
    return Standing(status=state.status, promoted=step in state.promoted, keys=keys)


def begun_gate(journal: "Journal", migration_id: str, step: str, key: str) -> GateStart | None:
    """Return the run of this attempt, None where it is yet to begin."""
    events = journal.events(migration_id=migration_id, kind=EventKind.STEP_STARTED)
    return _begun(events, migration_id, step, key)


def join_gate(
    journal: "Journal",
    *,
    migration_id: str,
    step: str,
    key: str,
    actor: str,
    started_unix: float,
    seen: Standing | None = None,
) -> GateStart:
    """Return the run of this attempt, beginning it in the journal if it is new.

    `seen` is what the attempt rests on, what is there now without it. Raises MigrationNotRunning
    where others have gone on since: a worker that was stopped meanwhile ends no hold. A new run
    ends a hold, which needed no lease, so it has one before it is there to be seen.
    """
    body = {"step": step, "key": key, "started_unix": started_unix}
    joined: list[GateStart] = []

    def choose(events: Sequence[Event]) -> list[tuple[EventKind, dict[str, Any]]]:
        begun = _begun(events, migration_id, step, key)
        if begun is not None:
            joined.append(begun)
            return []
        now = standing_of(events, step)
        # of a migration that is over the event changes nothing, and its gate is ended at once
        if now != seen and now.status in {Status.RUNNING, Status.HELD}:
            raise MigrationNotRunning(
                f"{step} has gone on without this attempt of its gate: runs so far "
                f"{len(now.keys)}, the migration is {now.status}",
                "clear the gate's task again if it is to run once more",
            )
        return [(EventKind.STEP_STARTED, {**body, "run": str(len(now.keys) + 1)})]

    events = journal.events(migration_id, but=phases.WITHOUT_EFFECT)
    seen = seen or standing_of(events, step)
    if choose(events):
        journal.renew_lease(migration_id, holder=f"gate {step}", seconds=HANDOVER_SECONDS)
        for event in journal.append_chosen(migration_id, actor, choose, onward=True):
            return _start(migration_id, dict(event.body))
    return joined[-1]


def recorded_verdict(journal: "Journal", start: GateStart) -> dict[str, Any] | None:
    """Return the body of the verdict that ended this run, if it has ended."""
    return standing_verdict(
        journal.events(migration_id=start.migration_id, kind=EventKind.VERDICT), start
    )


def standing_verdict(events: Iterable[Event], start: GateStart) -> dict[str, Any] | None:
    """Return the verdict of a run among `events`: the first one stands, and a Rollback outranks."""
    standing: dict[str, Any] | None = None
    for event in events:
        if event.kind != EventKind.VERDICT:
            continue
        if (event.body.get("step"), event.body.get("run")) == (start.step, start.run) and (
            standing is None or _outranks(event.body.get("decision"), standing)
        ):
            standing = dict(event.body)
    return standing


def record_verdict(
    journal: "Journal",
    start: GateStart,
    verdict: Verdict,
    *,
    actor: str = "",
    breach_unix: float | None = None,
) -> dict[str, Any]:
    """Write a final verdict and return the one that stands: the first written for the run.

    Of two that judge at once the journal takes one. Only a Rollback is written, and stands, behind
    another verdict: what a person has held, or a gate promoted, may be found bad at that moment.
    `actor` is who judged, if that was not the gate itself, `breach_unix` as in `verdict_body`.
    """
    if (known := recorded_verdict(journal, start)) is not None and not _outranks(
        verdict.decision, known
    ):
        return known
    if verdict.decision is not Decision.ROLLBACK:
        # the gate's own renewals end here, and a task has yet to be scheduled that acts on it
        holder = f"verdict {start.step}"
        journal.renew_lease(start.migration_id, holder=holder, seconds=HANDOVER_SECONDS)
    body = verdict_body(start, verdict, breach_unix)

    def first(events: Sequence[Event]) -> list[tuple[EventKind, dict[str, Any]]]:
        known = standing_verdict(events, start)
        return (
            [(EventKind.VERDICT, body)]
            if known is None or _outranks(verdict.decision, known)
            else []
        )

    who = actor or f"gate {start.step}"
    # as it was written: the journal adds what it rests on
    for event in journal.append_chosen(start.migration_id, who, first, kind=EventKind.VERDICT):
        return dict(event.body)
    return recorded_verdict(journal, start) or body


def append_verdict(
    journal: "Journal",
    start: GateStart,
    verdict: Verdict,
    *,
    actor: str,
    breach_unix: float | None = None,
) -> dict[str, Any]:
    """Write a verdict, also where the run has one: what was promoted may turn bad later."""
    body = verdict_body(start, verdict, breach_unix)
    event = journal.append(
        EventKind.VERDICT, migration_id=start.migration_id, actor=actor, body=body
    )
    return dict(event.body)


def verdict_body(
    start: GateStart, verdict: Verdict, breach_unix: float | None = None
) -> dict[str, Any]:
    """Return the body of the event that ends a run.

    `breach_unix` is when the tick of a Rollback was by the clock of who judges: whoever takes the
    fleet back counts from it by such a clock. Without it that of the gate stands in, Prometheus's.
    """
    body = {"step": start.step, "run": start.run, **verdict.to_json()}
    if verdict.decision is Decision.ROLLBACK:
        # the tick that failed: its confirmation came later, and the fleet was exposed meanwhile
        tick_unix = start.started_unix + verdict.at_seconds
        body["breach_at"] = tick_unix if breach_unix is None else breach_unix
    return body


def newest_run(events: Iterable[Event], step: str) -> GateStart | None:
    """Return the newest run of the gate of `step` among a migration's events, None without one."""
    newest = None
    for event in events:
        if event.kind == EventKind.STEP_STARTED and _begins_run(event, step):
            newest = event
    return _start(newest.migration_id, dict(newest.body)) if newest else None


def explain(body: dict[str, Any]) -> str:
    """Return one line that a person can act on: decision, criteria, values and thresholds."""
    reasons = [str(reason.get("text") or reason.get("criterion")) for reason in body["reasons"]]
    return f"{body['decision']} at {body['at_seconds']:.0f} s: {'; '.join(reasons) or 'no reason'}"


def _outranks(decision: object, standing: dict[str, Any]) -> bool:
    return decision == Decision.ROLLBACK and standing.get("decision") != Decision.ROLLBACK


def _begun(events: Iterable[Event], migration_id: str, step: str, key: str) -> GateStart | None:
    bodies = (body for body in _starts(events, step) if body["key"] == key)
    return next((_start(migration_id, body) for body in bodies), None)


def _starts(events: Iterable[Event], step: str) -> Iterator[dict[str, Any]]:
    for event in events:
        if event.kind == EventKind.STEP_STARTED and _begins_run(event, step):
            yield dict(event.body)


def _begins_run(event: Event, step: str) -> bool:
    # a step that begins without a key is work on it, and no run of its gate
    return event.body.get("step") == step and "key" in event.body


def _start(migration_id: str, body: dict[str, Any]) -> GateStart:
    return GateStart(
        migration_id=migration_id,
        step=str(body["step"]),
        run=str(body["run"]),
        started_unix=float(body["started_unix"]),
    )
