"""How much earlier one feed delivers a trade than the other, over the newest trades. Pure."""

from collections import deque
from collections.abc import Sequence
from typing import Final

from backpack_feed.process.parity.values import CCXT, NATIVE, SeenTrade

WINDOW: Final = 2_048
QUANTILES: Final = (0.5, 0.9, 0.99)


class LatencyComparison:
    """Both feeds' latencies over the same trades: venue's time of the trade → delivered."""

    def __init__(self) -> None:
        self._pairs: deque[tuple[float, float, float]] = deque(maxlen=WINDOW)

    def take(self, native: SeenTrade, ccxt: SeenTrade) -> None:
        """Take one trade; one from REST was late for another reason and is left out."""
        if native.latency_seconds is None or ccxt.latency_seconds is None:
            return
        # ccxt's own time of a trade is that of the event, so both are measured from native's
        engine_offset = ccxt.venue_seconds - native.venue_seconds
        ccxt_latency = ccxt.latency_seconds + engine_offset
        lead = ccxt.at_seconds - native.at_seconds
        self._pairs.append((native.latency_seconds, ccxt_latency, lead))

    def quantiles(self) -> dict[str, dict[float, float]]:
        """Return `native`, `ccxt` (seconds) and `lead`: by how much native was earlier."""
        columns = list(zip(*self._pairs, strict=True)) or [(), (), ()]
        return {
            name: _quantiles(column)
            for name, column in zip((NATIVE, CCXT, "lead"), columns, strict=True)
        }


def _quantiles(values: Sequence[float]) -> dict[float, float]:
    ordered = sorted(values)
    if not ordered:
        return {}
    return {q: ordered[min(int(q * len(ordered)), len(ordered) - 1)] for q in QUANTILES}
