"""What the migration asks of a fleet, whoever runs it (supervisord now, Kubernetes later)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Variant = Literal["ccxt", "native"]


@dataclass(frozen=True, kw_only=True)
class InstanceStatus:
    """One FeedHandler process as it presents itself.

    `variant` is ccxt, native, shadow (both, read-only) or unknown (nobody answers). `messages` and
    `trades` count since the process started; `pid` and `started_at` (unix seconds) tell its lives
    apart.
    """

    id: str
    variant: str
    ready: bool
    healthy: bool
    reasons: tuple[str, ...]
    url: str
    messages: int = 0
    trades: int = 0
    pid: int = 0
    started_at: float = 0.0


class Fleet(Protocol):
    """Moves instances between the two feeds. Every act is idempotent and fenced by `epoch`.

    An act with an epoch lower than one the fleet has seen raises `StaleEpoch`. `FleetUnavailable`
    means that the supervisor does not answer; what was asked is then done on its next start.
    """

    @property
    def ready_deadline_seconds(self) -> float:
        """How long an instance may take to become ready."""
        ...

    @property
    def max_unavailable(self) -> int:
        """How many instances a forward act restarts at a time."""
        ...

    def epoch(self) -> int:
        """Return the highest epoch seen, 0 for none."""
        ...

    def instances(self) -> tuple[InstanceStatus, ...]:
        """Return every handler instance in the stable order of the deployment (no shadows)."""
        ...

    def shadow_instances(self) -> tuple[InstanceStatus, ...]:
        """Return the shadow instances, running or not."""
        ...

    def set_variant(
        self,
        ids: Sequence[str],
        variant: Variant,
        *,
        epoch: int,
        max_unavailable: int | None = None,
    ) -> None:
        """Flip the flag of `ids` and restart those not right yet, `max_unavailable` at a time.

        The next batch starts when the one before is ready (`NotReady` where it is not in time).
        """
        ...

    def wait_ready(
        self,
        ids: Sequence[str],
        variant: Variant | None,
        deadline_seconds: float,
        *,
        epoch: int | None = None,
    ) -> None:
        """Return once all `ids` run `variant` (None: any) and are ready, else raise `NotReady`.

        Who waits on an act of its own gives its `epoch`: an overtaken one ends with `StaleEpoch`
        at once. A fence that cannot be read keeps nobody from waiting on.
        """
        ...

    def remaining(self, ids: Sequence[str]) -> tuple[str, ...]:
        """Return which of `ids` run, or would be started, also such as no deployment names.

        Raises `FleetUnavailable` where nobody can say.
        """
        ...

    def start_shadow(self, epoch: int) -> None:
        """Start the read-only shadow instances."""
        ...

    def stop_shadow(self, epoch: int) -> None:
        """Stop and remove the shadow instances."""
        ...

    def log_tails(self, ids: Sequence[str], lines: int) -> Mapping[str, Sequence[str]]:
        """Return the last `lines` log lines of each of `ids`, free of secrets; never raises."""
        ...
