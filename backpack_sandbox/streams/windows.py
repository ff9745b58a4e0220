"""Aggregated depth: `depth.200ms.<symbol>` and its like, kept only while somebody listens."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from backpack_sandbox.market.events import BookEvent
from backpack_sandbox.streams.names import depth_window
from backpack_sandbox.streams.wire import WireEncoder


@dataclass(slots=True)
class _Window:
    stream: str
    period_us: int
    due_us: int = 0
    first_id: int = 0
    last_id: int = 0
    engine_us: int = 0
    bids: dict[int, int] = field(default_factory=dict)
    asks: dict[int, int] = field(default_factory=dict)


class DepthWindows:
    """Collects realtime book events and emits one frame per window in which something changed.

    Within a stream the next U is the previous u + 1; sides are ascending.
    """

    def __init__(self, encoders: Mapping[str, WireEncoder]) -> None:
        self._encoders = encoders
        self._windows: dict[str, dict[str, _Window]] = {}

    def watch(self, stream: str, has_listeners: bool) -> None:
        """Start or stop a stream; names that are not aggregated depth are ignored."""
        parsed = depth_window(stream)
        if parsed is None or parsed[0] not in self._encoders:
            return
        symbol, window_ms = parsed
        if has_listeners:
            window = _Window(stream, window_ms * 1000)
            self._windows.setdefault(symbol, {})[stream] = window
        else:
            self._windows.get(symbol, {}).pop(stream, None)

    def note(self, event: BookEvent, event_us: int, engine_us: int) -> None:
        """Take up a realtime event."""
        for window in self._windows.get(event.symbol, {}).values():
            if not window.first_id:
                window.first_id = event.update_id
                window.due_us = event_us + window.period_us
            window.last_id = event.update_id
            window.engine_us = engine_us
            window.bids.update(event.bids)
            window.asks.update(event.asks)

    def flush(self, event_us: int) -> Iterator[tuple[str, str, bytes]]:
        """(stream, symbol, frame) of every window that is over."""
        for symbol, windows in self._windows.items():
            for window in windows.values():
                if window.first_id and window.due_us <= event_us:
                    yield window.stream, symbol, self._frame(symbol, window, event_us)
                    window.first_id = 0
                    window.bids.clear()
                    window.asks.clear()

    def _frame(self, symbol: str, window: _Window, event_us: int) -> bytes:
        return self._encoders[symbol].depth_range(
            window.stream,
            (window.first_id, window.last_id),
            bids=sorted(window.bids.items()),
            asks=sorted(window.asks.items()),
            event_us=event_us,
            engine_us=window.engine_us,
        )
