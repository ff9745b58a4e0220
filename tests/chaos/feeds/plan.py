"""What happens to the feeds of one seed, and when. Pure: the seed decides everything."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

STRIKE_SECONDS = 4.0
"""Faults begin within this time; the longest goes on for some seconds more."""
ENDINGS = ("disconnect", "close", "cut")
SILENCES = ("stall", "blackout", "stale")
REST = ("rest_503", "rest_429", "old_depth", "old_trades")
FRAMES = ("gap", "trade_gap", "duplicate", "reorder", "schema_drift")


@dataclass(frozen=True)
class Strike:
    """A fault of the venue against everybody; times are seconds from the start of the trial."""

    at: float
    fault: str
    duration_seconds: float
    share: float | None = None
    after_seconds: float | None = None


@dataclass(frozen=True)
class Kill:
    """SIGKILL of the feed process at `at`; what starts in its place is native or ccxt."""

    at: float
    native_next: bool


@dataclass(frozen=True)
class Plan:
    """One trial. `max_depth` 0 means whole books, `depth_window` "" every single change."""

    seed: int
    depth_window: str
    max_depth: int
    trades_first: bool
    actions: Sequence[Strike | Kill]

    @property
    def strikes(self) -> list[Strike]:
        """The faults, in order."""
        return [action for action in self.actions if isinstance(action, Strike)]


def make_plan(seed: int) -> Plan:
    """Every plan has each kind of fault and at least one kill, at random times."""
    rng = Random(f"chaos:{seed}")
    faults = [*FRAMES, rng.choice(ENDINGS), rng.choice(SILENCES), rng.choice(REST)]
    faults += rng.sample([*FRAMES, *ENDINGS, *SILENCES, *REST], rng.randrange(4))
    kills = [
        Kill(rng.uniform(0, STRIKE_SECONDS), native_next=rng.random() < 0.6)
        for _ in range(rng.choice((1, 1, 2, 3)))
    ]
    actions: list[Strike | Kill] = [*(_strike(name, rng) for name in faults), *kills]
    return Plan(
        seed=seed,
        depth_window=rng.choice(("", "", "200ms")),
        max_depth=rng.choice((0, 0, 5)),
        trades_first=rng.random() < 0.5,
        actions=sorted(actions, key=lambda action: action.at),
    )


def _strike(name: str, rng: Random) -> Strike:
    at = rng.uniform(0, STRIKE_SECONDS)
    if name in ENDINGS:
        return Strike(at, name, rng.uniform(0.2, 0.6), after_seconds=rng.uniform(0, 0.5))
    if name in SILENCES or name in REST:
        return Strike(at, name, rng.uniform(0.2, 2.0))
    return Strike(at, name, rng.uniform(0.5, 3.0), share=rng.choice((None, 0.02, 0.1, 0.4)))
