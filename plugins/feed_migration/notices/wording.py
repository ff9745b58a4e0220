"""The notices that a migration's events call for, in the words that people get to read. Pure.

Keys are made of what a second look at the same journal, or a guard that could not read it, comes to
as well: a retry, another worker or a teardown that sees the event again makes the same key.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from feed_migration.addresses import Addresses, Link
from feed_migration.driving import JOINED, WAY_BACK
from feed_migration.events import UNPROVEN, Event, EventKind, body_number
from feed_migration.feedback import FEEDBACK, feedback_of, summary
from feed_migration.gates.record import explain
from feed_migration.markdown import utc
from feed_migration.model import Decision
from feed_migration.notices.notice import Kind, Notice
from feed_migration.notices.overtaken import (
    APPROVAL_ASKED,
    FEEDBACK_ASKED,
    Turn,
    overtaken,
)
from feed_migration.notices.rollback_words import back_notice, rollback_notice, unproven_notice
from feed_migration.phases import MigrationState, Status, apply

# Shorter times are given in minutes
_HOURS_FROM_MINUTES = 120


@dataclass
class _Story:
    """What the events before have come to."""

    addresses: Addresses
    state: MigrationState = field(default_factory=MigrationState)
    run: Link | None = None
    way_back: Link | None = None
    rollbacks: int = 0
    breached: bool = False
    feedback: list[Event] = field(default_factory=list)

    def links(self, *first: Link) -> tuple[Link, ...]:
        return self._pages(first, self.run)

    def links_back(self, *first: Link) -> tuple[Link, ...]:
        """Those of a rollback: to the DAG run that does it, where one says so."""
        return self._pages(first, self.way_back or self.run)

    def _pages(self, first: tuple[Link, ...], run: Link | None) -> tuple[Link, ...]:
        return (*first, *self.addresses.pages(), *([run] if run else []))


def notices_of(events: Iterable[Event], addresses: Addresses) -> list[Notice]:
    """Return what is to be told of one migration, oldest first; `events` are all it has.

    Each is as the last event leaves it, see `overtaken`.
    """
    story, found = _Story(addresses), list[Notice]()
    for event in events:
        after = apply(story.state, event)
        word = _WORDS.get(event.kind)
        if word is not None and event.seq not in after.ignored:
            turn = Turn(event=event, before=story.state, after=after)
            found = [overtaken(notice, turn) for notice in found]
            found += list(word(story, event, after))
        story.state = after
    return found


def _started(story: _Story, event: Event, after: MigrationState) -> Iterator[Notice]:
    yield Notice(
        migration_id=event.migration_id,
        key="begun",
        kind=Kind.STARTED,
        at=event.at,
        title="Migration begun",
        reason=f"plan {after.plan_name}, by {event.actor}",
        facts=("The preflight has passed. Nothing has been moved yet.",),
        links=story.links(),
    )


def _step(story: _Story, event: Event, after: MigrationState) -> Iterator[Notice]:
    step, run = str(event.body.get("step", "")), str(event.body.get("run", "1"))
    if dict(story.state.runs).get(step) == run or step in story.state.promoted:
        return
    resumed = story.state.status is Status.HELD
    yield Notice(
        migration_id=event.migration_id,
        key=f"step {step} run {run}",
        about=step,
        kind=Kind.STARTED,
        at=event.at,
        title=f"{step} {'goes on' if resumed else 'begins'}",
        reason=f"by {event.actor}" + (f", it was held: {story.state.reason}" if resumed else ""),
        facts=(_share(after, step),),
        links=story.links(),
    )


def _share(state: MigrationState, step: str) -> str:
    facts = state.step_facts(step)
    percent = facts.get("percent")
    what = (
        f"{percent} % of the fleet goes to the native feed"
        if percent
        else _WHAT.get(str(facts.get("phase")), "The next part of the migration")
    )
    return f"{what}{', then its gate decides' if facts.get('gated') else ''}."


_WHAT = {
    "dry_run": "The native feed's tests and the check of the credentials run",
    "shadow": "The native feed runs beside ccxt, read only",
    "stabilisation": "The whole fleet is watched on the native feed",
    "post_migration": "Feedback is collected and the report is written",
}


def _note(story: _Story, event: Event, after: MigrationState) -> Iterator[Notice]:
    del after
    body = event.body
    where = [str(body.get(name, "")) for name in ("dag_id", "run_id", "task_id")]
    if body.get("note") == JOINED:
        story.run = ("DAG run", story.addresses.dag_run(*where[:2]))
    if body.get("note") == WAY_BACK:
        story.way_back = ("DAG run", story.addresses.dag_run(*where[:2]))
    if body.get("note") == FEEDBACK_ASKED:
        yield _feedback(story, event, where)
    if body.get("note") == UNPROVEN:
        notice = unproven_notice(story.addresses, event.migration_id, facts=body, at=event.at)
        yield replace(notice, links=story.links_back())
    if body.get("note") == FEEDBACK:
        story.feedback.append(event)
    if body.get("note") != APPROVAL_ASKED:
        return
    until = body_number(body, "until")
    yield Notice(
        migration_id=event.migration_id,
        key=f"approval {body.get('id')}",
        about=str(body.get("step", "")),
        until=until if until is not None else math.inf,
        kind=Kind.APPROVAL,
        at=event.at,
        title=f"APPROVAL NEEDED for {body.get('step')}",
        reason=f"no answer by {utc(until)} is a No, and the fleet goes back to ccxt",
        facts=(_who(body), str(body.get("summary", ""))),
        links=story.links(("answer", story.addresses.question(*where))),
    )


def _feedback(story: _Story, event: Event, where: list[str]) -> Notice:
    consumer, until = str(event.body.get("consumer", "")), body_number(event.body, "until")
    return Notice(
        migration_id=event.migration_id,
        key=f"feedback {event.body.get('id')}",
        about=consumer,
        until=until if until is not None else math.inf,
        kind=Kind.FEEDBACK,
        at=event.at,
        title=f"FEEDBACK WANTED from {consumer}",
        reason="is it served well by the native feed?",
        facts=(f"Closed as no answer at {utc(until)}.",),
        links=story.links(("answer", story.addresses.question(*where))),
    )


def _who(body: Mapping[str, object]) -> str:
    approvers = body.get("approvers")
    named = [str(name) for name in approvers] if isinstance(approvers, list) else []
    return f"May answer: {', '.join(named) or 'whoever may act in Airflow'}."


def _held(story: _Story, event: Event, after: MigrationState) -> Iterator[Notice]:
    if story.state.status is not Status.RUNNING:
        return
    yield Notice(
        migration_id=event.migration_id,
        key=f"held {after.held_step} {event.seq}",
        about=after.held_step,
        kind=Kind.HELD,
        at=event.at,
        title=f"HELD at {after.held_step}",
        reason=after.reason or "no reason given",
        facts=(
            f"{len(after.exposed)} instances stay on native, the guard watches them.",
            "Look at the criteria; then watch the step again, or take it back.",
        ),
        links=story.links(*_graphs(story, after)),
    )


def _graphs(story: _Story, state: MigrationState) -> Iterator[Link]:
    reasons = (state.last_verdict or {}).get("reasons")
    for reason in reasons[:3] if isinstance(reasons, list) else ():
        if isinstance(reason, Mapping) and reason.get("query"):
            yield str(reason.get("criterion")), story.addresses.graph(str(reason["query"]))


def _rollback(story: _Story, event: Event, after: MigrationState) -> Iterator[Notice]:
    if story.state.status is Status.ROLLING_BACK:
        return
    story.rollbacks += 1
    # what the rollback itself says is when it began
    story.breached = story.state.breach_at is not None
    verdict = after.last_verdict
    why = after.reason
    if not why and verdict is not None and verdict.get("decision") == Decision.ROLLBACK:
        why = explain(dict(verdict))
    notice = rollback_notice(
        story.addresses,
        event.migration_id,
        number=story.rollbacks,
        reason=why or "no reason given",
        actor=event.actor,
        at=event.at,
    )
    yield replace(notice, links=story.links_back(*_graphs(story, after)))


def _back(story: _Story, event: Event, after: MigrationState) -> Iterator[Notice]:
    del after
    if story.state.status is not Status.ROLLING_BACK:
        return
    notice = back_notice(
        story.addresses,
        event.migration_id,
        number=story.rollbacks,
        facts=event.body,
        at=event.at,
        breached=story.breached,
    )
    yield replace(notice, links=story.links_back())
    story.way_back = None


def _finished(story: _Story, event: Event, after: MigrationState) -> Iterator[Notice]:
    if after.status is not Status.PROMOTED or story.state.status is not Status.RUNNING:
        return
    took = event.at - after.started_at if after.started_at is not None else None
    yield Notice(
        migration_id=event.migration_id,
        key="done",
        kind=Kind.DONE,
        at=event.at,
        title="DONE",
        reason=f"{len(after.exposed)} instances run the native feed"
        + (f", {_duration(took)} after the beginning" if took is not None else ""),
        facts=(*_said(story), f"Every step is proven: {', '.join(after.promoted)}."),
        links=story.links(),
    )


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    return f"{minutes / 60:.1f} h" if minutes >= _HOURS_FROM_MINUTES else f"{minutes:.0f} min"


def _said(story: _Story) -> tuple[str, ...]:
    words = summary(feedback_of(story.feedback))
    return (f"Consumers say: {words}.",) if words else ()


def _silent(story: _Story, event: Event, after: MigrationState) -> Iterator[Notice]:
    """Say nothing: the event only makes that of others untrue."""
    del story, event, after
    yield from ()


type _Word = Callable[[_Story, Event, MigrationState], Iterator[Notice]]

_WORDS: Mapping[str, _Word] = {
    EventKind.MIGRATION_STARTED: _started,
    EventKind.STEP_STARTED: _step,
    EventKind.STEP_PROMOTED: _silent,
    EventKind.APPROVAL: _silent,
    EventKind.AUDIT_NOTE: _note,
    EventKind.HELD: _held,
    EventKind.ROLLBACK_STARTED: _rollback,
    EventKind.ROLLBACK_VERIFIED: _back,
    EventKind.MIGRATION_FINISHED: _finished,
}
