"""Frames that could not be read: kept for inspection, counted, and logged without flooding."""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from backpack_feed.counters import FeedCounters
from backpack_feed.errors import DecodeError

LOG = logging.getLogger(__name__)

KEPT_FRAMES = 32
KEPT_BYTES = 2_048
LOGGED_CHARACTERS = 200
LOG_INTERVAL_SECONDS = 60.0
LOGGED_KINDS = 128
OTHER = "other"
"""Stands for every kind that comes while so many others were logged within the interval."""


@dataclass(frozen=True)
class PoisonFrame:
    """The start of a frame and why it was refused."""

    data: str | bytes
    error: str
    receipt_timestamp: float


class Quarantine:
    """The newest poison frames; each kind of error is logged at most once a minute."""

    def __init__(self, counters: FeedCounters, monotonic: Callable[[], float]) -> None:
        self.frames: deque[PoisonFrame] = deque(maxlen=KEPT_FRAMES)
        self._counters = counters
        self._monotonic = monotonic
        self._logged_at: dict[str, float] = {}

    def take(self, data: str | bytes, error: DecodeError, receipt_timestamp: float) -> None:
        """Keep and count a frame; a lost frame is a dropped message."""
        self._counters.decode_error(error.kind)
        self._counters.dropped_messages += 1
        self.frames.append(PoisonFrame(data[:KEPT_BYTES], str(error), receipt_timestamp))
        if self.may_log(error.kind):
            # repr: the venue's control characters must not forge log lines
            LOG.warning("unreadable frame (%s): %r", error, data[:LOGGED_CHARACTERS])

    def may_log(self, kind: str) -> bool:
        """Whether a minute has passed since `kind` was logged; any number of kinds may come."""
        now = self._monotonic()
        if kind not in self._logged_at and len(self._logged_at) >= LOGGED_KINDS:
            self._logged_at = {
                known: logged_at
                for known, logged_at in self._logged_at.items()
                if now - logged_at < LOG_INTERVAL_SECONDS
            }
            kind = kind if len(self._logged_at) < LOGGED_KINDS else OTHER
        if now - self._logged_at.get(kind, float("-inf")) < LOG_INTERVAL_SECONDS:
            return False
        self._logged_at[kind] = now
        return True
