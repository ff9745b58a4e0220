"""What later events make of a notice: it may be told too late to be true. Pure.

One that would only confuse gets an end, `Notice.until`, and is dropped then. A hold and a rollback
must be heard of in any case, and say what has come since.
"""

from dataclasses import dataclass, replace

from feed_migration.events import Event, EventKind
from feed_migration.feedback import FEEDBACK
from feed_migration.markdown import utc
from feed_migration.notices.notice import Kind, Notice
from feed_migration.phases import MigrationState, Status

# audit notes that ask somebody
APPROVAL_ASKED = "approval_asked"
FEEDBACK_ASKED = "feedback_asked"
# A step may be over within a second, and people still want to have heard that it began
BEGUN_SECONDS = 15.0
# What a notice of a rollback says until the proof is there
UNTIL_VERIFIED = (
    "Wait for the message that it is verified; if it does not come within minutes, run "
    "`backpack-migrate rollback`."
)
UNPROVEN_TITLE = "NOT PROVEN ON CCXT"


@dataclass(frozen=True, kw_only=True)
class Turn:
    """An event, and how the migration stands before and after it."""

    event: Event
    before: MigrationState
    after: MigrationState

    @property
    def step(self) -> str:
        """The step that the event names."""
        return str(self.event.body.get("step", ""))


def overtaken(notice: Notice, turn: Turn) -> Notice:
    """Return an earlier notice as it is to be told once `turn` has come."""
    if notice.kind is Kind.HELD:
        return _hold_over(notice, turn)
    if notice.kind is Kind.ROLLBACK:
        return _verified(notice, turn)
    ends = _ENDS.get(notice.kind)
    if ends is None or not ends(notice, turn):
        return notice
    grace = BEGUN_SECONDS if notice.kind is Kind.STARTED else 0.0
    return replace(notice, until=min(notice.until, turn.event.at + grace))


def _begun_is_over(notice: Notice, turn: Turn) -> bool:
    """Whether the step is over; the beginning of a migration is over with its first step."""
    if turn.after.status is not Status.RUNNING:
        return True
    if turn.event.kind == EventKind.STEP_STARTED:
        return bool(notice.about) and turn.step != notice.about
    if turn.event.kind != EventKind.STEP_PROMOTED:
        return False
    phase = turn.after.step_facts(turn.step).get("phase")
    return turn.step == notice.about if notice.about else phase != "preflight"


def _is_answered(notice: Notice, turn: Turn) -> bool:
    """Whether the question is answered, asked anew, or asked no more."""
    if turn.after.status is not Status.RUNNING:
        return True
    said = {EventKind.APPROVAL, EventKind.STEP_STARTED, EventKind.STEP_PROMOTED}
    asked = turn.event.body.get("note") == APPROVAL_ASKED
    return turn.step == notice.about and (turn.event.kind in said or asked)


def _is_fed_back(notice: Notice, turn: Turn) -> bool:
    body = turn.event.body
    return body.get("note") == FEEDBACK and body.get("consumer") == notice.about


_ENDS = {
    Kind.STARTED: _begun_is_over,
    Kind.APPROVAL: _is_answered,
    Kind.FEEDBACK: _is_fed_back,
}


def _hold_over(notice: Notice, turn: Turn) -> Notice:
    if turn.before.status is not Status.HELD or turn.after.status is Status.HELD:
        return notice
    if notice.title != f"HELD at {notice.about}":
        return notice
    resumed = turn.after.status is Status.RUNNING
    what = "resumed since" if resumed else "taken back since"
    end = "goes on" if resumed else "goes back to ccxt"
    return replace(
        notice,
        title=f"WAS HELD at {notice.about}, {what}",
        facts=(f"It {end} by {turn.event.actor}, {utc(turn.event.at)}.",),
    )


def _verified(notice: Notice, turn: Turn) -> Notice:
    if turn.event.kind != EventKind.ROLLBACK_VERIFIED:
        return notice
    if notice.title == UNPROVEN_TITLE:
        return replace(notice, until=min(notice.until, turn.event.at))
    verified = f"It is verified since {utc(turn.event.at)}: ccxt data flows."
    facts = tuple(verified if fact == UNTIL_VERIFIED else fact for fact in notice.facts)
    return replace(notice, facts=facts)
