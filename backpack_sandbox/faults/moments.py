"""What the venue was like when a fault began, as far as an old answer needs it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from backpack_sandbox.faults.names import FaultName
from backpack_sandbox.faults.registry import FaultRegistry
from backpack_sandbox.market.matching import MatchingEngine


@dataclass(frozen=True, slots=True)
class Moment:
    """`at` is monotonic seconds, `ids` symbol → (update id, trade id), `engine_us` as published."""

    at: float
    ids: Mapping[str, tuple[int, int]]
    engine_us: Mapping[str, int]


class Moments:
    """A moment for each active fault of `names`, by the fault's id, taken as it begins."""

    def __init__(
        self,
        faults: FaultRegistry,
        names: frozenset[FaultName],
        engines: Mapping[str, MatchingEngine],
        engine_us: Mapping[str, int],
        clock: Callable[[], float],
    ) -> None:
        """`clock` is monotonic seconds."""
        self._faults = faults
        self._names = names
        self._engines = engines
        self._engine_us = engine_us
        self._clock = clock
        self._moments: dict[int, Moment] = {}
        faults.listeners.insert(0, self.follow)  # whoever acts on a fault needs its moment

    def of(self, fault_id: int) -> Moment:
        """The moment of an active fault."""
        return self._moments[fault_id]

    def first_ids(self, fault_id: int) -> Mapping[str, tuple[int, int]]:
        """Of a sequence restart: symbol → the true (update id, trade id) that became 1.

        The present book becomes number 1 and stays askable; the next trade is number 1.
        """
        moment = self._moments.get(fault_id)
        if moment is None:
            return {}
        return {symbol: (update, trade + 1) for symbol, (update, trade) in moment.ids.items()}

    def follow(self) -> None:
        """Take the moment of each new fault, and forget those that are over."""
        active = {fault.fault_id for fault in self._faults.named(self._names)}
        self._moments = {i: moment for i, moment in self._moments.items() if i in active}
        for fault_id in active - self._moments.keys():
            ids = {s: (e.last_update_id, e.last_trade_id) for s, e in self._engines.items()}
            self._moments[fault_id] = Moment(self._clock(), ids, dict(self._engine_us))
