"""Errors of the migration: one line each, with the place, what is wrong and the remedy.

MigrationError                 exit code
  UsageError                   2  the caller asked for something that means nothing
    DeploymentError            2  deployment.yaml is missing or wrong
    PlanChanged                2  the plan is not the one the migration began with
    FleetChanged               2  nor are the instances of deployment.yaml
  Refused                      1  the answer is no
    MigrationActive            1  another migration holds the deployment
    MigrationNotRunning        1  the migration is held, rolled back or over
    PreflightFailed            1  something the migration needs is missing
    NotConfirmed               1  a form was sent without its tick
    GateNotPassed              1  an earlier step has no Promote
    ApprovalMissing            1  the plan asks for a person first
    StaleEpoch                 1  a newer actor has taken the fleet over
    FleetMovedOn               1  the migration is taken back, the fleet is a newer one's
    NotReady                   1  instances did not become ready in time
    RollbackUnverified         1  ccxt data does not flow on every instance
  EnvironmentUnavailable       3  something that must run does not
    JournalUnavailable         3
    FleetUnavailable           3
      InstanceStuck            3  the supervisor answers, but one instance cannot be acted on
      FleetBusy                3  another process of the same epoch acts on it
    AirflowUnavailable         3
    ClockUnusable              3  gates cannot go by the clock of Prometheus
      ClockSilent              3  it has never said what time it is
      ClockAhead               3  it says that it is later than it is here
"""

from collections.abc import Mapping
from typing import ClassVar


class MigrationError(Exception):
    """Base of everything this package raises on purpose; `remedy` says what the reader does."""

    exit_code: ClassVar[int] = 3

    def __init__(self, problem: str, remedy: str = "") -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{problem}: {remedy}" if remedy else problem)


class UsageError(MigrationError):
    """The caller's input is at fault."""

    exit_code = 2


class DeploymentError(UsageError):
    """deployment.yaml cannot be read or is wrong; names file and key."""


class PlanChanged(UsageError):  # noqa: N818 - reads as the fact it states
    """The plan file differs from the one recorded when the migration began."""


class FleetChanged(UsageError):  # noqa: N818 - reads as the fact it states
    """deployment.yaml names other instances than when the migration began."""


class Refused(MigrationError):  # noqa: N818 - reads as the fact it states
    """The request is well formed and the answer is no."""

    exit_code = 1


class MigrationActive(Refused):
    """Another migration is active in this deployment."""


class MigrationNotRunning(Refused):
    """The migration cannot go forward from where it is."""


class NothingToHold(Refused):
    """No run of a gate is open; `passing` says that one may be in a moment."""

    def __init__(self, problem: str, remedy: str, *, passing: bool = False) -> None:
        super().__init__(problem, remedy)
        self.passing = passing


class PreflightFailed(Refused):
    """Something the migration needs is missing; nothing has been changed."""


class NotConfirmed(Refused):
    """The form of a dangerous act came without its tick; nothing was done."""


class GateNotPassed(Refused):
    """An earlier step lacks its Promote in the journal."""


class ApprovalMissing(Refused):
    """The step waits for a person."""


class StaleEpoch(Refused):
    """The caller's fencing epoch is lower than the fleet's: somebody newer is in charge."""

    def __init__(self, *, presented: int, current: int) -> None:
        self.presented = presented
        self.current = current
        super().__init__(
            f"the fleet is at epoch {current}, this actor at {presented}",
            "a newer migration or a rollback has taken over; see `backpack-migrate status`",
        )


class FleetMovedOn(Refused):
    """The migration is taken back, and a newer one has the fleet: nothing of it is left to do."""

    def __init__(self, migration_id: str, newest: str) -> None:
        super().__init__(
            f"{migration_id} is taken back already, and the fleet is {newest}'s by now",
            f"to take {newest} back, repeat",
        )


class NotReady(Refused):
    """Instances missed the deadline; `instances` and `reasons` (id → reasons) say which and why."""

    def __init__(
        self,
        instances: tuple[str, ...],
        reasons: Mapping[str, tuple[str, ...]],
        deadline_seconds: float,
        remedy: str = "read their logs (logs/ in the state folder, or `kubectl logs`), and repeat",
    ) -> None:
        self.instances = instances
        self.reasons = dict(reasons)
        self.why = "; ".join(f"{name}: {', '.join(reasons.get(name, ()))}" for name in instances)
        super().__init__(f"not ready after {deadline_seconds:g} s: {self.why}", remedy)


class RollbackUnverified(NotReady):
    """The flag is back on ccxt, but data does not flow on every instance, or a shadow runs on."""


class ExposedUnlisted(RollbackUnverified):
    """These were exposed, still are there, and are not of the fleet that goes back."""

    def __init__(self, instances: tuple[str, ...], deadline_seconds: float) -> None:
        why = ("was exposed, still is there, and deployment.yaml does not name it",)
        super().__init__(
            instances,
            dict.fromkeys(instances, why),
            deadline_seconds,
            "name it in deployment.yaml as when the migration began, or stop it and remove its "
            "file; then repeat",
        )


class EnvironmentUnavailable(MigrationError):  # noqa: N818 - reads as the fact it states
    """A part that must run does not answer."""


class JournalUnavailable(EnvironmentUnavailable):
    """The journal cannot be read or written now."""


class ClockUnusable(EnvironmentUnavailable):
    """Gates cannot go by the clock of Prometheus; `unix` is good for a note, and for no query."""

    def __init__(self, problem: str, remedy: str, unix: float) -> None:
        self.unix = unix
        super().__init__(problem, remedy)


class ClockSilent(ClockUnusable):
    """Prometheus has never said what time it is; `unix` is what this machine says."""

    def __init__(self, unix: float) -> None:
        super().__init__("Prometheus does not say what time it is", "bring it back", unix)


class ClockAhead(ClockUnusable):
    """Prometheus says that it is later than it is here; `unix` is what it was to say."""

    def __init__(self, ahead_seconds: float, unix: float) -> None:
        super().__init__(
            f"Prometheus's clock is {ahead_seconds:.0f} s ahead of this machine's",
            "set both by NTP",
            unix,
        )


class FleetUnavailable(EnvironmentUnavailable):
    """The fleet's supervisor does not answer."""


class InstanceStuck(FleetUnavailable):
    """One instance cannot be acted on; the supervisor answers, so the others can."""


class FleetBusy(FleetUnavailable):
    """Another process of the same epoch holds the fleet; a higher epoch may take it over."""


class AirflowUnavailable(EnvironmentUnavailable):
    """Airflow does not answer, or refuses the caller."""
