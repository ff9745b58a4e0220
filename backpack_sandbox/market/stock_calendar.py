"""When American shares trade: the sessions and holidays that the venue publishes.

Sessions begin on each day of a range of weekdays, Monday is 1; the last one ends the next morning.
Names and shapes are second hand (a client of the venue, October 2026). Streams call the sessions by
names of their own, of which only `RegularHours` is known; the others are inferred.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

TIMEZONE: Final = "America/New_York"


@dataclass(frozen=True, slots=True)
class Session:
    """One daily span of trading, in local time; weekdays are those on which it begins.

    REST and the streams have a name for it each.
    """

    name: str
    stream_name: str
    start: time
    end: time
    first_weekday: int
    last_weekday: int

    def body(self) -> dict[str, Any]:
        """As `/stockSessions` lists it."""
        return {
            "endTime": self.end.isoformat(),
            "endWeekday": self.last_weekday,
            "name": self.name,
            "startTime": self.start.isoformat(),
            "startWeekday": self.first_weekday,
            "timezone": TIMEZONE,
        }

    @property
    def _ends_next_day(self) -> int:
        return int(self.end <= self.start)

    @property
    def _wraps(self) -> bool:
        return self.first_weekday > self.last_weekday

    def covers(self, local: datetime) -> bool:
        """The session is on at that local time, holidays apart."""
        if not self._ends_next_day:
            return self._begins_on(local) and self.start <= local.time() < self.end
        if local.time() >= self.start:
            return self._begins_on(local)
        return local.time() < self.end and self._begins_on(local - timedelta(days=1))

    def _begins_on(self, local: datetime) -> bool:
        weekday = local.isoweekday()
        if self._wraps:
            return weekday >= self.first_weekday or weekday <= self.last_weekday
        return self.first_weekday <= weekday <= self.last_weekday


@dataclass(frozen=True, slots=True)
class Holiday:
    """A day, or a part of it, without any session; times are local."""

    date: date
    start: time
    end: time
    name: str

    def body(self) -> dict[str, str]:
        """As `/stockHolidays` lists it."""
        return {
            "date": self.date.isoformat(),
            "endTime": self.end.isoformat(),
            "name": self.name,
            "startTime": self.start.isoformat(),
            "timezone": TIMEZONE,
        }

    def covers(self, local: datetime) -> bool:
        """No session is on at that local time."""
        return self.date == local.date() and self.start <= local.time() <= self.end


def _holiday(year: int, month: int, day: int, name: str) -> Holiday:
    return Holiday(date(year, month, day), time(), time(23, 59, 59), name)


SESSIONS: Final = (
    Session("US_EQUITIES_PRE_MARKET", "PreMarket", time(4), time(9, 30), 1, 5),
    Session("US_EQUITIES_REGULAR", "RegularHours", time(9, 30), time(16), 1, 5),
    Session("US_EQUITIES_POST_MARKET", "AfterHours", time(16), time(20), 1, 5),
    Session("US_EQUITIES_OVERNIGHT", "Overnight", time(20), time(4), 7, 4),
)
HOLIDAYS: Final = (
    _holiday(2026, 9, 7, "Labor Day"),
    _holiday(2026, 11, 26, "Thanksgiving Day"),
    _holiday(2026, 12, 25, "Christmas Day"),
    _holiday(2027, 1, 1, "New Year's Day"),
    _holiday(2027, 1, 18, "Martin Luther King Jr. Day"),
    _holiday(2027, 2, 15, "Washington's Birthday"),
    _holiday(2027, 3, 26, "Good Friday"),
    _holiday(2027, 5, 31, "Memorial Day"),
)


def session_at(unix_seconds: float) -> Session | None:
    """The session that is on; None over a weekend or a holiday."""
    local = datetime.fromtimestamp(unix_seconds, UTC).astimezone(ZoneInfo(TIMEZONE))
    if any(holiday.covers(local) for holiday in HOLIDAYS):
        return None
    return next((session for session in SESSIONS if session.covers(local)), None)
