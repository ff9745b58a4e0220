"""All markets on one model clock: which market moves next, and when."""

from collections.abc import Callable, Iterator, Mapping
from heapq import heapify, heapreplace
from typing import Final

from backpack_sandbox.market.catalog import Market
from backpack_sandbox.market.events import MarketEvent
from backpack_sandbox.market.matching import MarketState, MatchingEngine
from backpack_sandbox.market.model import MarketModel

SECOND: Final = -1
"""In the queue, where a market's index would be."""


class Exchange:
    """Every market with a book, moved in one reproducible order of model time.

    Model time is in seconds from the start; how it maps to the wall clock is the caller's matter.
    `on_second` gets each whole second as it goes by, and by how much it lies back.
    """

    def __init__(
        self,
        catalog: Mapping[str, Market],
        *,
        seed: int,
        events_per_second: float,
        trades_per_second: float,
        resume: Mapping[str, MarketState] | None = None,
    ) -> None:
        resumed = resume or {}
        self._models = [
            MarketModel(
                market,
                seed=seed,
                events_per_second=events_per_second,
                trades_per_second=trades_per_second,
                resume=resumed.get(symbol),
            )
            for symbol, market in catalog.items()
            if market.has_book
        ]
        self.engines: dict[str, MatchingEngine] = {m.market.symbol: m.engine for m in self._models}
        self._queue = [(model.wait_seconds(), i) for i, model in enumerate(self._models)]
        self._queue.append((1.0, SECOND))
        heapify(self._queue)
        self.on_second: Callable[[int, float], None] = _ignore
        self.model_seconds = 0.0

    def advance(self, until_seconds: float) -> Iterator[tuple[float, list[MarketEvent]]]:
        """Move every market up to `until_seconds`; yield (model time, events) in order."""
        queue = self._queue
        while queue[0][0] <= until_seconds:
            due, index = queue[0]
            if index == SECOND:
                self.on_second(round(due), until_seconds - due)
                heapreplace(queue, (due + 1.0, SECOND))
                continue
            model = self._models[index]
            self.model_seconds = due
            yield due, model.step()
            heapreplace(queue, (due + model.wait_seconds(), index))
        self.model_seconds = until_seconds


def _ignore(second: int, lag_seconds: float) -> None:
    """Nobody cares."""
