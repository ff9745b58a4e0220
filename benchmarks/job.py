"""What a contender's process is told, and what it tells: JSON lines over its pipes."""

from typing import Final

import msgspec

READY: Final = "ready"
BATCH: Final = "batch"
RECEIVERS: Final = ("floor", "floor_untyped", "picows", "websockets_receive")
"""Contenders without a feed: they count frames and know no books."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One run: `warmup` events go unmeasured, `messages` is their total with the measured ones.

    `lockstep` > 0 asks for a `batch` line after every so many events. `times_file` gets the
    arrival of every event (`time.perf_counter`, doubles) and its delay after receipt.
    """

    contender: str
    rest_url: str
    ws_url: str
    ca_file: str
    symbols: list[str]
    venue_symbols: list[str]
    warmup: int
    messages: int
    lockstep: int = 0
    touch_book: bool = False
    times_file: str = ""


class Top(msgspec.Struct, frozen=True):
    """A market's book when all was done: its best prices as text."""

    bid: str
    ask: str


class Line(msgspec.Struct, kw_only=True):
    """One line to the parent; the figures come with `event` = `result`."""

    event: str
    seen: int = 0
    trades: int = 0
    book_callbacks: int = 0
    measured: int = 0
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    complaints: list[str] = []
    tops: dict[str, Top] = {}
