"""What the guard sees and how it is, as values: `endpoints` shows them, `metrics` exports them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from feed_migration.guard.knowledge import Known
from feed_migration.lease import HANDOVER_SECONDS, person_asked
from feed_migration.model import Gate, Measurement, Outcome
from feed_migration.phases import MigrationState, Status


@dataclass(frozen=True, kw_only=True)
class Health:
    """How the guard is: what `endpoints` shows.

    `exposed` counts what may be on native by a migration that was not taken back: an act that comes
    after a verified rollback exposes nothing that anybody watches.
    `unproven` are the instances that a rollback could not prove on ccxt.
    `polled_unix` is the end of its last round, or the beginning of a rollback; `polled_monotonic`
    the same by the monotonic clock.
    """

    polled_unix: float = 0.0
    polled_monotonic: float = -math.inf
    journal_silent_seconds: float = 0.0
    exposed: int = 0
    lease_left_seconds: float | None = None
    watching: bool = False
    reverting: bool = False
    reverts: int = 0
    failed_reverts: int = 0
    unproven: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Question:
    """A consumer is asked for feedback: since when and until when, unix seconds."""

    since_unix: float
    until_unix: float


@dataclass(frozen=True, kw_only=True)
class Story:
    """The newest migration as the journal tells it; times are unix seconds.

    `state.status` is `absent` where there never was one. `status_since` is the event that last
    changed the status; `step_started` has the first event of each step that was reached. `events`
    and `verdicts` count those of every migration in the journal, by kind and by decision;
    `rollback_seconds` is from the breach to the proof in the newest verified rollback. `driver` is
    the id of the DAG whose run joined last; `asked` has the consumers who were asked for feedback
    and have not answered.
    """

    state: MigrationState = field(default_factory=MigrationState)
    status_since: float | None = None
    step_started: Mapping[str, float] = field(default_factory=dict)
    events: Mapping[str, int] = field(default_factory=dict)
    verdicts: Mapping[str, int] = field(default_factory=dict)
    rollback_seconds: float | None = None
    driver: str = ""
    asked: Mapping[str, Question] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class GateView:
    """A run of a gate by its measurements: the latest of each criterion, and how many of a kind.

    `gate` is None where the plan is not at hand; `last_tick_unix` before the first tick.
    """

    step: str
    run: str
    started_unix: float
    gate: Gate | None = None
    last_tick_unix: float | None = None
    latest: Mapping[str, Measurement] = field(default_factory=dict)
    ticks: Mapping[tuple[str, Outcome], int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Wait:
    """An approval that is waited for: the step, since when and until when, unix seconds."""

    step: str
    since_unix: float
    until_unix: float


@dataclass(frozen=True, kw_only=True)
class Sight:
    """Everything that the guard exports. `story` is None until the journal was read once.

    `audit_intact` is whether the migration's rows are what the chain says, None before any look.
    """

    health: Health
    fleet_size: int
    known: Known | None = None
    story: Story | None = None
    gate: GateView | None = None
    audit_intact: bool | None = None

    @property
    def gate_is_open(self) -> bool:
        """Whether the current step's gate has begun, and has no verdict and may still have one."""
        known = self.known
        # who takes the fleet back leaves an open gate without a verdict for ever
        if known is None or known.status is not Status.RUNNING:
            return False
        return known.gate_started_unix is not None

    @property
    def wait(self) -> Wait | None:
        """The approval that is waited for, by the lease that it was given; None without one."""
        known, story = self.known, self.story
        lease = known.lease if known else None
        if lease is None or story is None or story.state.status is not Status.RUNNING:
            return None
        step = person_asked(lease)
        if not step or step in {*story.state.approved, *story.state.promoted}:
            return None
        until = lease.expires_at - HANDOVER_SECONDS
        return Wait(step=step, since_unix=lease.renewed_at, until_unix=until)
