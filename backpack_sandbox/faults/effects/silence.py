"""Frames that do not come."""

from collections.abc import Sequence
from typing import Final, override

from backpack_sandbox.faults.effects.base import FrameEffect, Pace, Tools

LOST_IN_A_ROW_MAX: Final = 3


class Silence(FrameEffect):
    """No data frame passes."""

    @override
    def frame(self, _stream: str, _frame: bytes) -> Sequence[bytes]:
        return ()


class Gap(FrameEffect):
    """Loses one to three frames in a row of the streams of one kind; with a share single ones."""

    def __init__(self, prefix: str, share: float | None, tools: Tools) -> None:
        self._prefix = prefix
        self._in_a_row = LOST_IN_A_ROW_MAX if share is None else 1
        self._pace = Pace(share, tools)
        self._rng = tools.rng
        self._still_to_lose: dict[str, int] = {}

    @override
    def frame(self, stream: str, frame: bytes) -> Sequence[bytes]:
        if not stream.startswith(self._prefix):
            return (frame,)
        if left := self._still_to_lose.get(stream, 0):
            self._still_to_lose[stream] = left - 1
            return ()
        if not self._pace.hits(stream):
            return (frame,)
        self._still_to_lose[stream] = self._rng.randrange(self._in_a_row)
        return ()
