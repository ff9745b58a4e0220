"""One attack of `make chaos`: what it is asked, and what it answers."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Asked:
    """`count` is in the part's own unit, `jobs` processes work side by side.

    `only` names a place within the part, where it has such. What a failure leaves goes to `folder`.
    """

    count: int
    seed: int
    jobs: int
    folder: Path
    only: str = ""

    @property
    def seeds(self) -> range:
        """One seed for each of `count`, so that one that failed can be run alone."""
        return range(self.seed, self.seed + self.count)


@dataclass(frozen=True)
class Found:
    """The part's fields of the summary, and why a promise was not kept, each in a plain sentence.

    An attack that met nobody, or a product that did nothing, is such a reason too: zeros alone
    prove nothing.
    """

    fields: Mapping[str, Any]
    wrong: Sequence[str] = ()

    @property
    def kept(self) -> bool:
        """Whether every promise was kept, and was put to the proof."""
        return not self.wrong


@dataclass(frozen=True)
class Part:
    """An attack; `count` is how much of it `make chaos` runs, `what` the unit."""

    attack: Callable[[Asked], Found]
    count: int
    what: str


def tell(line: object) -> None:
    """Say it now: a long run is watched."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
