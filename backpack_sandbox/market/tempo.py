"""How busy all markets are together: steady, or with the bursts that a real venue has."""

from random import Random
from typing import Final

CALM_PACE: Final = 0.86
BURST_CHANCE: Final = 1 / 30
BURST_PACE_MIN: Final = 1.4
BURST_PACE_MAX: Final = 2.7
BURST_DECAY: Final = 0.5
PACE_MAX: Final = 3.45
"""With 3,000 frames in a mean second this is the peak of 10,400 that was recorded."""


class Tempo:
    """Maps model time to busy time, in which every market runs at its own constant rate.

    The pace (busy seconds in a model second) changes at whole model seconds. Without `bursts` it
    is always 1. With them its mean is 1: about every half minute something happens somewhere, all
    markets jump at once, and calm comes back by half each second.
    """

    def __init__(self, seed: int, *, bursts: bool) -> None:
        # S311 is about secrets; here a reproducible sequence is the point
        self._rng = Random(f"{seed}:tempo")  # noqa: S311
        self._bursts = bursts
        self._excitement = 0.0
        self._pace = 1.0
        self._model_start = 0.0
        self._busy_start = 0.0
        if bursts:
            self._pace = self._next_pace()

    @property
    def busy_end(self) -> float:
        """The busy time at which the present model second is over."""
        return self._busy_start + self._pace

    def next_second(self) -> None:
        """The present model second is over."""
        self._busy_start += self._pace
        self._model_start += 1.0
        if self._bursts:
            self._pace = self._next_pace()

    def busy(self, model_seconds: float) -> float:
        """Busy time at a moment of the present model second, or after it at its pace."""
        return self._busy_start + (model_seconds - self._model_start) * self._pace

    def model(self, busy_seconds: float) -> float:
        """Model time of a moment of the present second, given in busy time."""
        return self._model_start + (busy_seconds - self._busy_start) / self._pace

    def _next_pace(self) -> float:
        rng = self._rng
        self._excitement *= BURST_DECAY
        if rng.random() < BURST_CHANCE:
            self._excitement += rng.uniform(BURST_PACE_MIN, BURST_PACE_MAX)
        return min(PACE_MAX, CALM_PACE + self._excitement)
