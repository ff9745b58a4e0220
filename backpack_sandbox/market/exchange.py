"""All markets on one model clock: which market moves next, and when."""

from collections.abc import Callable, Iterator, Mapping
from heapq import heapify, heapreplace
from typing import Final

from backpack_sandbox.market.catalog import Market
from backpack_sandbox.market.events import MarketEvent
from backpack_sandbox.market.matching import MarketState, MatchingEngine
from backpack_sandbox.market.model import MarketModel
from backpack_sandbox.market.tempo import Tempo

SECOND: Final = -1
"""In the queue of busy times, where a market's index would be."""


class Exchange:
    """Every market with a book, moved in one reproducible order of model time.

    Model time is in seconds from the start; how it maps to the wall clock is the caller's matter.
    `on_second` gets each whole second as it goes by, and by how much it lies back. With `bursts`
    all markets are now calm, now busy together.
    """

    def __init__(
        self,
        catalog: Mapping[str, Market],
        *,
        seed: int,
        events_per_second: float,
        trades_per_second: float,
        bursts: bool = False,
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
        self._tempo = Tempo(seed, bursts=bursts)
        self._queue.append((self._tempo.busy_end, SECOND))
        heapify(self._queue)
        self.on_second: Callable[[int, float], None] = _ignore
        self.model_seconds = 0.0

    def advance(self, until_seconds: float) -> Iterator[tuple[float, list[MarketEvent]]]:
        """Move every market up to `until_seconds`; yield (model time, events) in order."""
        queue, tempo = self._queue, self._tempo
        busy_until = tempo.busy(until_seconds)
        while queue[0][0] <= busy_until:
            busy, index = queue[0]
            due = tempo.model(busy)
            if index == SECOND:
                self.on_second(round(due), until_seconds - due)
                tempo.next_second()
                heapreplace(queue, (tempo.busy_end, SECOND))
                busy_until = tempo.busy(until_seconds)
                continue
            model = self._models[index]
            self.model_seconds = due
            if events := model.step():
                yield due, events
            heapreplace(queue, (busy + model.wait_seconds(), index))
        self.model_seconds = until_seconds


def _ignore(second: int, lag_seconds: float) -> None:
    """Nobody cares."""
