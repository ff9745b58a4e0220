"""When American shares trade, told by New York's clock on both sides of the change of time."""

from datetime import UTC, datetime

import pytest

from backpack_sandbox.market.stock_calendar import SESSIONS, session_at


@pytest.mark.parametrize(
    ("utc", "session"),
    [
        ("2026-07-01T13:29:59", "US_EQUITIES_PRE_MARKET"),
        ("2026-07-01T13:30:00", "US_EQUITIES_REGULAR"),
        ("2026-12-01T13:30:00", "US_EQUITIES_PRE_MARKET"),
        ("2026-12-01T14:30:00", "US_EQUITIES_REGULAR"),
        ("2026-07-01T20:00:00", "US_EQUITIES_POST_MARKET"),
        ("2026-07-02T00:00:00", "US_EQUITIES_OVERNIGHT"),
        ("2026-07-02T07:59:59", "US_EQUITIES_OVERNIGHT"),
        ("2026-07-02T08:00:00", "US_EQUITIES_PRE_MARKET"),
    ],
)
def test_each_session_follows_the_one_before(utc, session):
    """At 04:00, 09:30, 16:00 and 20:00 of local time."""
    found = session_at(datetime.fromisoformat(utc).replace(tzinfo=UTC).timestamp())
    assert found is not None
    assert found.name == session


@pytest.mark.parametrize(
    "utc",
    [
        "2026-07-04T01:00:00",  # Friday evening
        "2026-07-05T12:00:00",  # Sunday noon
        "2026-11-26T15:00:00",  # Thanksgiving
    ],
)
def test_weekends_and_holidays_have_no_session(utc):
    """The overnight session that begins on Sunday evening is the first of the week."""
    assert session_at(datetime.fromisoformat(utc).replace(tzinfo=UTC).timestamp()) is None


def test_sunday_evening_begins_the_week():
    """20:00 in New York."""
    found = session_at(datetime(2026, 7, 6, 0, 0, tzinfo=UTC).timestamp())
    assert found == SESSIONS[-1]
    assert found.body()["startWeekday"] == 7
