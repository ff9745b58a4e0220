"""Is a silent stream quiet, or dead? Pure: times are arguments, REST is asked by the caller.

A market may be silent for minutes and the venue acknowledges nothing, so silence alone proves
nothing. The newest id by REST does: the same as ours means quiet; an id that was already there one
check ago and never came through the stream means that the stream is dead.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

GRACE_SECONDS = 1.5
"""REST may lead the socket; what it told must arrive within this time."""
CONNECTION_SILENCE_SECONDS = 12.0
DEBT_SECONDS = 12.0
DEBT_CAP_SECONDS = 600.0
CHECK_CAP_SECONDS = 30.0
"""Checks of a stream that stays dead become this rare."""


class Finding(StrEnum):
    """What a REST answer says about a silent stream."""

    QUIET = "quiet"
    SUSPECT = "suspect"
    DEAD = "dead"
    BEHIND_US = "behind_us"
    """REST trails the stream; when it stays so, the venue restarted its counter."""


@dataclass
class StreamWatch:
    """Liveness of one stream; all times are monotonic seconds."""

    check_after_seconds: float
    subscribed_at: float
    last_frame_at: float | None = None
    checked_at: float | None = None
    quiet_at: float | None = None
    promised_id: int | None = None
    deaths: int = 0
    checking: bool = False

    def frame(self, now: float) -> None:
        """A frame came."""
        self.last_frame_at = now
        self.promised_id, self.deaths = None, 0

    def check_due(self, now: float) -> bool:
        """Whether REST should be asked now; the asking counts as a check."""
        since = max(self.subscribed_at, self.last_frame_at or 0.0)
        wait = min(self.check_after_seconds * 2**self.deaths, CHECK_CAP_SECONDS)
        if self.checked_at is not None and self.checked_at >= since:
            since = self.checked_at
            wait = wait if self.promised_id is None else GRACE_SECONDS
        if now - since < wait:
            return False
        self.checked_at = now
        return True

    def judge(self, venue_id: int, own_id: int, now: float) -> Finding:
        """Compare the newest id by REST with the last id that the stream delivered."""
        if venue_id == own_id:
            self.promised_id, self.quiet_at = None, now
            return Finding.QUIET
        if venue_id < own_id:
            return Finding.BEHIND_US
        promised, self.promised_id = self.promised_id, venue_id
        if promised is None or own_id >= promised:
            return Finding.SUSPECT
        self.promised_id = None
        self.deaths += 1
        return Finding.DEAD

    def compare(self, *, same: bool, now: float) -> Finding:
        """Judge a stream without comparable ids by whether REST shows what it last told."""
        if same:
            self.promised_id, self.quiet_at = None, now
            return Finding.QUIET
        suspected, self.promised_id = self.promised_id is not None, 0
        if not suspected:
            return Finding.SUSPECT
        self.promised_id = None
        self.deaths += 1
        return Finding.DEAD

    def absent(self, now: float) -> None:
        """REST knows no such book: a closed market is rightly silent."""
        self.promised_id, self.quiet_at = None, now

    def resubscribed(self, now: float) -> None:
        """Start over: the stream was subscribed again."""
        self.subscribed_at, self.promised_id, self.quiet_at = now, None, None


class Debts:
    """Streams that must speak soon after another one did: a trade changes a candle."""

    def __init__(self) -> None:
        self._owed_since: dict[str, float] = {}
        self._deaths: dict[str, int] = {}

    def overdue(self, stream: str, caused_at: float, spoke_at: float, now: float) -> bool:
        """Whether the stream is dead: it was silent since a cause, for too long.

        A stream that was found dead is given time anew, ever more of it.
        """
        if caused_at <= spoke_at:
            self._owed_since.pop(stream, None)
            self._deaths.pop(stream, None)
            return False
        since = self._owed_since.get(stream)
        if since is None or since <= spoke_at:
            since = self._owed_since[stream] = caused_at
        deaths = self._deaths.get(stream, 0)
        if now - since < min(DEBT_SECONDS * 2**deaths, DEBT_CAP_SECONDS):
            return False
        self._owed_since[stream] = now
        self._deaths[stream] = deaths + 1
        return True


def connection_is_dead(
    opened_at: float, last_frame_at: float | None, watches: Iterable[StreamWatch], now: float
) -> bool:
    """Whether a socket without any frame must go: not every stream is known to be quiet.

    Counted from the connect, so a venue that accepts and never speaks is found as well.
    """
    silent_since = max(opened_at, last_frame_at or 0.0)
    if now - silent_since < CONNECTION_SILENCE_SECONDS:
        return False
    limit = now - CONNECTION_SILENCE_SECONDS
    return not all(watch.quiet_at is not None and watch.quiet_at >= limit for watch in watches)
