"""When a gate without ticks is blind; the clock is any monotonic one."""

from dataclasses import replace

import pytest

from feed_migration.gates.record import first_tick_unix
from feed_migration.gates.standstill import Standstill
from feed_migration.model import Decision, Severity
from tests.support.gate_traces import criterion, gate

GATE = gate(blind_limit_seconds=60.0)


def test_ticks_that_come_are_no_standstill():
    """However long the gate is, and also where one is as late as it may be."""
    standstill = Standstill()
    for tick in range(500):
        assert not standstill.verdict(GATE, tick * 15.0, tick * 75.0).final


@pytest.mark.parametrize("on_blind", [Decision.ROLLBACK, Decision.HOLD])
def test_the_next_tick_may_be_late_for_blind_limit(on_blind):
    """It was due an interval after the last one; the verdict is at the time it would be by then."""
    standstill, watched = Standstill(), replace(GATE, on_blind=on_blind)
    assert not standstill.verdict(watched, 30.0, 1000.0).final
    assert not standstill.verdict(watched, 30.0, 1075.0).final
    verdict = standstill.verdict(watched, 30.0, 1076.0)
    assert (verdict.decision, verdict.at_seconds) == (on_blind, 106.0)
    assert "no tick for 61 s, limit 60 s" in verdict.reasons[0].text


def test_the_first_tick_is_waited_for_from_the_first_look_on():
    """It is due after the delay and one scrape, as when the gate began."""
    standstill = Standstill()
    due = GATE.evaluation_delay_seconds + GATE.criteria[0].confirm_interval_seconds
    assert not standstill.verdict(GATE, None, 0.0).final
    assert not standstill.verdict(GATE, None, due + 60.0).final
    assert standstill.verdict(GATE, None, due + 61.0).final


SLOW = gate(
    criterion(confirm_interval_seconds=5.0),
    criterion("soft", severity=Severity.SOFT, confirm_interval_seconds=3600.0),
    criterion("noted", severity=Severity.INFO, confirm_interval_seconds=1.0),
)


def test_a_slow_second_sample_delays_no_first_tick():
    """A scrape is as long as the shortest that decides: a hard one is not to wait for a soft one."""
    assert first_tick_unix(SLOW, 1000.0) == 1000.0 + SLOW.evaluation_delay_seconds + 5.0


def test_where_nothing_decides_the_first_tick_waits_for_what_is_recorded():
    """A step has been scraped then as well."""
    noted = gate(criterion(severity=Severity.INFO, confirm_interval_seconds=7.0))
    assert first_tick_unix(noted, 0.0) == noted.evaluation_delay_seconds + 7.0


def test_blindness_before_the_first_tick_waits_for_no_slow_second_sample():
    """A clock that is set back as the gate begins is found out as soon as any other time."""
    standstill = Standstill()
    limit = first_tick_unix(SLOW, 0.0) + SLOW.blind_limit_seconds
    assert not standstill.verdict(SLOW, None, 0.0, first_in=0.0).final
    assert not standstill.verdict(SLOW, None, limit).final
    assert standstill.verdict(SLOW, None, limit + 1.0).final


@pytest.mark.parametrize("set_back", [0.0, 7200.0])
def test_a_gate_that_an_older_version_began_may_wait_for_its_slowest_second_sample(set_back):
    """Its start is in the journal; a clock that is set back as well must not stretch that."""
    standstill = Standstill()
    latest = SLOW.evaluation_delay_seconds + 3600.0
    assert not standstill.verdict(SLOW, None, 0.0, first_in=latest + set_back).final
    limit = latest + SLOW.blind_limit_seconds
    assert not standstill.verdict(SLOW, None, limit).final
    assert standstill.verdict(SLOW, None, limit + 1.0).final


def test_a_judge_that_begins_anew_does_not_know_the_newest_tick_and_counts_on():
    """Its measurements could not be read at that moment; that is no tick."""
    standstill = Standstill()
    standstill.verdict(GATE, 30.0, 0.0)
    assert not standstill.verdict(GATE, None, 70.0).final
    assert standstill.verdict(GATE, 30.0, 76.0).final
