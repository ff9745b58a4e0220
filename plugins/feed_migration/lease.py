"""The lease of an exposed fleet: who says that somebody watches, and for how long that holds. Pure.

Whoever exposes instances, or watches exposed ones, renews the lease of the migration; a person who
is waited for is given one as long as the wait. Nobody renews it for a process that is gone, so the
guard takes an expired lease for what it is: exposure that nobody watches.
"""

from dataclasses import dataclass

# From a confirmed act to the first tick of its gate: a few tasks, begun anew after a kill
HANDOVER_SECONDS = 600.0
# For a person who is to come back and go on, where nothing says by when
PERSON_SECONDS = 7 * 86400.0
# An exposure of unknown origin: a migration that was begun before there were leases
UNKNOWN_SECONDS = HANDOVER_SECONDS
# A gate renews when this share of its lease is used up, so that one lost renewal costs nothing
RENEW_AT = 0.25
_APPROVAL = "approval "
_END = "end of "


@dataclass(frozen=True, kw_only=True)
class Lease:
    """One renewal; `renewed_at` is unix seconds by the clock of `holder`, `seconds` its length."""

    migration_id: str
    holder: str
    renewed_at: float
    seconds: float

    @property
    def expires_at(self) -> float:
        """When it runs out, in unix seconds by the clock of its holder."""
        return self.renewed_at + self.seconds

    def is_due(self, now_unix: float) -> bool:
        """Whether its holder should renew it at `now_unix`; a clock that went back renews too."""
        return not 0 <= now_unix - self.renewed_at < RENEW_AT * self.seconds


def act_seconds(instances: int, max_unavailable: int, ready_deadline_seconds: float) -> float:
    """Return the lease of an act that restarts `instances` in batches of `max_unavailable`."""
    batches = -(-instances // max(1, max_unavailable))
    return (batches + 1) * ready_deadline_seconds + HANDOVER_SECONDS


def approval_holder(step: str) -> str:
    """Return who holds the lease while a person is asked for `step`, and until the step begins."""
    return f"{_APPROVAL}{step}"


def person_asked(lease: Lease) -> str:
    """Return the step that a person is waited for, "" where nobody is.

    The answer renews the lease for the hand-over alone, which is how it is told from the wait.
    """
    waits = lease.holder.startswith(_APPROVAL) and lease.seconds > HANDOVER_SECONDS
    return lease.holder.removeprefix(_APPROVAL) if waits else ""


def end_holder(dag_id: str) -> str:
    """Return who holds the lease once a run of that DAG has proven its steps and is over."""
    return f"{_END}{dag_id}"


def ended_dag(lease: Lease) -> str:
    """Return the id of the DAG whose run is over, "" while somebody else holds the lease."""
    return lease.holder.removeprefix(_END) if lease.holder.startswith(_END) else ""
