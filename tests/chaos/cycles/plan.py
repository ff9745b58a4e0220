"""What happens in the cycle of one seed, and when. Pure: the seed decides everything."""

from dataclasses import dataclass
from random import Random

RAMPS = ((33,), (66,), (100,), (33, 66), (66, 100), (33, 66, 100))
VENUE_FAULTS = ("disconnect", "gap", "trade_gap", "stale", "rest_503")
ON_PROCESSES = ("kill_feeds", "kill_feeds", "stop_feed", "kill_driver", "kill_driver")
ON_ANY = (*ON_PROCESSES, "second_driver", "kill_supervisord", *VENUE_FAULTS)
LATEST_SECONDS = 1.5
"""The act that a strike is to meet takes about that long."""


@dataclass(frozen=True)
class Strike:
    """One attack, `after_seconds` from the beginning of an act.

    `victims` are places in the fleet. What is stopped, away or faulty is so for `seconds`.
    """

    what: str
    after_seconds: float
    seconds: float
    victims: tuple[int, ...]


@dataclass(frozen=True)
class Cycle:
    """One migration: the shares of its steps, and the strikes at each of these acts.

    `before` strike at the rollback of a promoted predecessor, `back` at this one's own rollback;
    one that is `promoted` is left to its successor. A `zombie` is a forward step that is stopped in
    the middle, and goes on when the rollback is over.
    """

    seed: int
    ramp: tuple[int, ...]
    forward: tuple[tuple[Strike, ...], ...]
    before: tuple[Strike, ...]
    back: tuple[Strike, ...]
    promoted: bool
    zombie: bool


def make_cycle(seed: int, fleet: int) -> Cycle:
    """The cycle of `seed` on a fleet of so many instances."""
    rng = Random(f"cycle:{seed}")
    ramp = rng.choice(RAMPS)
    promoted = rng.random() < 0.3
    return Cycle(
        seed=seed,
        ramp=ramp,
        forward=tuple(_strikes(rng, fleet) for _ in ramp),
        before=_strikes(rng, fleet),
        back=_strikes(rng, fleet),
        promoted=promoted,
        zombie=not promoted and rng.random() < 0.1,
    )


def _strikes(rng: Random, fleet: int) -> tuple[Strike, ...]:
    # one in three acts goes undisturbed, or the strikes would meet only each other
    count = rng.choice((0, 1, 1))
    strikes = [_strike(rng.choice(ON_ANY), rng, fleet) for _ in range(count)]
    return tuple(sorted(strikes, key=lambda strike: strike.after_seconds))


def _strike(what: str, rng: Random, fleet: int) -> Strike:
    count = rng.randrange(1, fleet) if what == "kill_feeds" else 1
    return Strike(
        what=what,
        after_seconds=rng.uniform(0, LATEST_SECONDS),
        seconds=rng.uniform(0.1, 1.0),
        victims=tuple(rng.sample(range(fleet), count)),
    )
