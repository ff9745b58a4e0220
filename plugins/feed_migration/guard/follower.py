"""The journal as the guard reads it: on from where it was last, folded as it comes."""

import logging
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import Any

from feed_migration import phases
from feed_migration.driving import JOINED
from feed_migration.events import Event, EventKind, body_number
from feed_migration.feedback import FEEDBACK
from feed_migration.gates.record import explain
from feed_migration.guard.knowledge import Known
from feed_migration.guard.sight import Question, Story
from feed_migration.journal.chain import is_as_written, row_of
from feed_migration.journal.store import Journal
from feed_migration.model import Decision
from feed_migration.notices.overtaken import FEEDBACK_ASKED
from feed_migration.phases import MigrationState, Status

# Of migrations that are over only the newest can still be told something new
_REMEMBERED = 8
_ROLLBACK = frozenset({EventKind.ROLLBACK_STARTED, EventKind.ROLLBACK_ACT})
# What may end or ease the watch, and is not believed of a row that was changed; a Rollback is
_EASING = frozenset(
    {
        EventKind.VERDICT,
        EventKind.APPROVAL,
        EventKind.STEP_PROMOTED,
        EventKind.HELD,
        EventKind.ROLLBACK_VERIFIED,
        EventKind.MIGRATION_FINISHED,
    }
)
LOG = logging.getLogger(__name__)


@dataclass
class _Story:
    """One migration's state, and what the fold leaves out."""

    state: MigrationState = field(default_factory=MigrationState)
    gates: dict[tuple[str, str], float] = field(default_factory=dict)
    judged: set[tuple[str, str]] = field(default_factory=set)
    rollback_actor: str = ""
    rollback_said_at: float = 0.0
    status_since: float | None = None
    step_started: dict[str, float] = field(default_factory=dict)
    taken_back: bool = False
    driver: str = ""
    asked: dict[str, Question] = field(default_factory=dict)

    def add(self, event: Event) -> None:
        before, self.state = self.state, phases.apply(self.state, event)
        if self.state.status is not before.status:
            self.status_since = event.at
        if self.state.step:
            self.step_started.setdefault(self.state.step, event.at)
        key = (str(event.body.get("step", "")), str(event.body.get("run", "1")))
        started = body_number(event.body, "started_unix")
        if event.kind == EventKind.STEP_STARTED and started is not None:
            self.gates[key] = started
        elif event.kind == EventKind.VERDICT:
            self.judged.add(key)
        elif event.kind in _ROLLBACK:
            self.rollback_actor, self.rollback_said_at = event.actor, event.at
        elif event.kind == EventKind.ROLLBACK_VERIFIED:
            self.taken_back = True
        elif event.kind == EventKind.AUDIT_NOTE:
            self._heed(event)

    def _heed(self, event: Event) -> None:
        """Take from a note who drives the migration, and which consumers have yet to answer."""
        note, consumer = event.body.get("note"), str(event.body.get("consumer", ""))
        if note == JOINED:
            self.driver = str(event.body.get("dag_id", ""))
        elif note == FEEDBACK_ASKED:
            until = body_number(event.body, "until")
            until_unix = event.at if until is None else until
            self.asked[consumer] = Question(since_unix=event.at, until_unix=until_unix)
        elif note == FEEDBACK:
            self.asked.pop(consumer, None)


class JournalFollower:
    """Reads only what is new; a journal that was restored to an earlier day is read anew.

    It tells what the journal says. Whether that has lost what was known is asked by `lacks`.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._last: Event | None = None
        self._stories: OrderedDict[str, _Story] = OrderedDict()
        self._told_of: set[str] = set()
        self._events: Counter[str] = Counter()
        self._verdicts: Counter[str] = Counter()
        self._rollback_seconds: float | None = None
        self.story: Story | None = None

    def read(self) -> Known | None:
        """Return the migration that holds the deployment, or else the newest; None without one.

        Raises `JournalUnavailable`.
        """
        for event in self._news():
            self._take(event)
            self._count(event)
        active = [story for story in self._stories.values() if story.state.status.active]
        newest = (active or list(self._stories.values()))[-1:]
        self.story = self._told(newest[0] if newest else _Story())
        return self._known(newest[0]) if newest else None

    def lacks(self, known: Known) -> tuple[str, ...]:
        """Return which exposed instances of `known` the journal does not account for.

        An exposure only grows until a verified rollback ends it, so one that is smaller and was
        never taken back is that of an earlier day: a backup, or a standby that lagged behind.
        """
        story = self._stories.get(known.migration_id)
        if story is None:
            # what it has told of and this does not remember is over
            return () if known.migration_id in self._told_of else known.exposed
        if story.taken_back:
            return ()
        return tuple(name for name in known.exposed if name not in story.state.exposed)

    def forgot_rollback(self, known: Known) -> bool:
        """Whether the journal told of a rollback of `known`, and now tells of none."""
        story = self._stories.get(known.migration_id)
        told = known.status is Status.ROLLING_BACK and known.rollback_said_at > 0
        if story is None or not told or story.taken_back:
            return False
        return story.state.status is not Status.ROLLING_BACK

    def _news(self) -> list[Event]:
        last = self._last
        if last is None:
            return self._journal.events()
        # the last one again: that it is still there, and the same, says that history is
        news = self._journal.events(after_seq=last.seq - 1)
        if news and news[0] == last:
            return news[1:]
        self._last = None
        self._stories.clear()
        self._told_of.clear()
        self._events.clear()
        self._verdicts.clear()
        self._rollback_seconds = None
        return self._journal.events()

    def _take(self, event: Event) -> None:
        self._last = event
        if event.kind == EventKind.MIGRATION_STARTED:
            self._stories.setdefault(event.migration_id, _Story())
            self._told_of.add(event.migration_id)
        if _is_forged(event):
            LOG.error("event %d (%s) was changed, it is not followed", event.seq, event.kind)
        elif (story := self._stories.get(event.migration_id)) is not None:
            story.add(event)
        over = [name for name, it in self._stories.items() if not it.state.status.active]
        for name in over[:-_REMEMBERED]:
            del self._stories[name]

    def _count(self, event: Event) -> None:
        self._events[event.kind] += 1
        if event.kind == EventKind.VERDICT:
            self._verdicts[str(event.body.get("decision", ""))] += 1
        elif event.kind == EventKind.ROLLBACK_VERIFIED:
            seconds = body_number(event.body, "breach_to_rollback_seconds")
            self._rollback_seconds = seconds if seconds is not None else self._rollback_seconds

    def _told(self, story: _Story) -> Story:
        return Story(
            state=story.state,
            status_since=story.status_since,
            step_started=dict(story.step_started),
            events=dict(self._events),
            verdicts=dict(self._verdicts),
            rollback_seconds=self._rollback_seconds,
            driver=story.driver,
            asked=dict(story.asked),
        )

    def _known(self, story: _Story) -> Known:
        state = story.state
        step = state.step or ""
        run = dict(state.runs).get(step, "1")
        watched = (step, run) in story.gates and (step, run) not in story.judged
        return Known(
            migration_id=state.migration_id,
            status=state.status,
            plan_sha256=state.plan_sha256,
            step=step,
            run=run,
            exposed=state.exposed,
            fleet=state.fleet,
            acting=state.pending_act is not None,
            moved=tuple(sorted(state.moved)),
            proven=phases.is_proven(state),
            gate_started_unix=story.gates[step, run] if watched else None,
            lease=self._journal.lease(state.migration_id),
            breach=_breach(state),
            rollback_actor=story.rollback_actor,
            rollback_said_at=story.rollback_said_at,
        )


def _is_forged(event: Event) -> bool:
    """Whether an event that would ease the watch is not what was written."""
    if event.kind not in _EASING or event.body.get("decision") == Decision.ROLLBACK:
        return False
    return not is_as_written(row_of(event))


def _breach(state: MigrationState) -> str:
    verdict: dict[str, Any] = dict(state.last_verdict or {})
    step = str(verdict.get("step", ""))
    if verdict.get("decision") != Decision.ROLLBACK or step in state.proven:
        return ""
    if state.status not in {Status.RUNNING, Status.HELD}:
        return ""
    return f"gate {step}: {explain({'at_seconds': 0.0, 'reasons': [], **verdict})}"
