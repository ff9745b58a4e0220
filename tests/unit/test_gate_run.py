from math import nan

import pytest

from feed_migration.gates.run import GateRun
from feed_migration.model import Answer, Decision, Outcome, Severity
from tests.support.gate_traces import (
    BAD,
    BASELINE,
    GOOD,
    MemoryLog,
    Recording,
    answer,
    criterion,
    gate,
    outcomes,
)

START = 1_000_000.0
REFUSED = Answer(error="connect: refused")
PROMOTE, HOLD, ROLLBACK, RUNNING = (
    Decision.PROMOTE,
    Decision.HOLD,
    Decision.ROLLBACK,
    Decision.RUNNING,
)


def ticks(*values):
    return [{"stale": one if isinstance(one, Answer) else answer(one)} for one in values]


def start(recording, log=None, watched=None, **changes):
    values = {
        "gate": watched or gate(),
        "step_name": "cutover-10",
        "migration_id": "mig-1",
        "started_unix": START,
        "fleet_size": 1,
        "source": recording,
        "journal": log or MemoryLog(),
    }
    return GateRun(**{**values, **changes})


class ForgedLog(MemoryLog):
    """Rows that somebody has changed behind our back."""

    def altered(self, migration_id, step, run="1"):
        return f"{migration_id} {step} {run}: stale at 0.0 s was removed"


@pytest.mark.parametrize("ended", [False, True])
def test_nothing_is_decided_over_altered_measurements(ended):
    """Neither by a tick nor from outside, and Prometheus is not asked; a person has to look."""
    recording = Recording(ticks(GOOD))
    log = MemoryLog()
    drive(start(recording, log), 30)
    recording.asked.clear()
    run = start(recording, ForgedLog(log.rows))
    verdict = run.end(START + 200) if ended else run.tick(START + 200)
    assert (verdict.decision, verdict.at_seconds) == (HOLD, 200.0)
    assert verdict.reasons[0].text.endswith("mig-1 cutover-10 1: stale at 0.0 s was removed")
    assert recording.asked == []


def drive(run, until_seconds):
    """Tick whenever something is due; the verdict at the end."""
    verdict = run.tick(START)
    while not verdict.final and run.next_due_unix() <= START + until_seconds:
        verdict = run.tick(run.next_due_unix())
    return verdict


def test_every_tick_is_asked_once_as_of_its_time_less_the_delay():
    """Tick k asks for start + 15 k - 5 s, and the next one is due at the next tick."""
    recording = Recording(ticks(GOOD))
    run = start(recording)
    assert run.tick(START - 1).decision is RUNNING
    assert (recording.asked, run.next_due_unix()) == ([], START)
    run.tick(START)
    run.tick(START + 3)
    assert (recording.asked, run.next_due_unix()) == ([("stale", 0.0)], START + 15)
    run.tick(START + 15.2)
    assert recording.asked[1:] == [("stale", 15.0)]


def test_good_run_promotes():
    """Five good ticks, Promote at the fifth; after that nothing is asked."""
    recording = Recording(ticks(GOOD))
    run = start(recording)
    assert drive(run, 600).decision is PROMOTE
    assert len(recording.asked) == 5
    assert run.tick(START + 900).at_seconds == 60
    assert len(recording.asked) == 5


def test_failure_is_asked_again_and_recorded_only_then():
    """The second sample is due after confirm_interval, as of tick - delay + confirm_interval."""
    log, recording = MemoryLog(), Recording(ticks(GOOD, BAD))
    run = start(recording, log)
    run.tick(START)
    assert run.tick(START + 15).decision is RUNNING
    assert run.next_due_unix() == START + 20
    assert outcomes(log.measurements("", "")) == [Outcome.SUCCESS]
    verdict = run.tick(START + 20)
    assert verdict.decision is ROLLBACK
    assert recording.asked[-1] == ("stale", 20.0)
    assert outcomes(log.measurements("", "")) == [Outcome.SUCCESS, Outcome.FAILURE]


def test_refuted_failure_goes_on():
    """A second sample that is good leaves the gate running, and promotes later."""
    recording = Recording(ticks(GOOD, BAD, GOOD), confirms={("stale", 20.0): answer(GOOD)})
    run = start(recording)
    assert drive(run, 20).decision is RUNNING
    assert drive(run, 600).decision is PROMOTE


def test_nothing_but_failure_decides_while_a_second_sample_is_due():
    """At max_duration a pending Failure is waited for, instead of a Hold."""
    watched = gate(max_duration_seconds=60.0)
    run = start(Recording(ticks(*[nan] * 4, BAD)), watched=watched)
    assert drive(run, 60).decision is RUNNING
    assert run.tick(START + 65).decision is ROLLBACK


def test_missed_ticks_are_asked_later_in_order_as_of_their_own_time():
    """A run that slept asks history before the newest tick, and marks what it asked late."""
    log, recording = MemoryLog(), Recording(ticks(GOOD))
    run = start(recording, log)
    run.tick(START)
    verdict = run.tick(START + 61)
    assert verdict.decision is PROMOTE
    assert [seconds for _, seconds in recording.asked] == [0, 15, 30, 45, 60]
    late = [one.backfilled for one in log.measurements("", "")]
    assert late == [False, True, True, True, False]


def test_rollback_found_in_a_missed_tick_is_a_rollback_now():
    """A confirmed Failure of a missed minute ends the gate; nothing newer is asked."""
    recording = Recording(ticks(GOOD, BAD, GOOD), confirms={("stale", 20.0): answer(BAD)})
    verdict = start(recording).tick(START + 60)
    assert (verdict.decision, verdict.at_seconds) == (ROLLBACK, 15)
    assert 60 not in [seconds for _, seconds in recording.asked]


def test_missed_ticks_are_one_range_query_per_criterion():
    """240 missed ticks are asked at once, as of their own times, and none of them twice."""
    recording = Recording(ticks(GOOD))
    run = start(recording, watched=gate(min_duration_seconds=9000.0, max_duration_seconds=9999.0))
    run.tick(START + 15 * 300)
    assert recording.ranges == [("stale", 0.0, 240), ("stale", 3600.0, 60)]
    assert len(recording.asked) == 301
    assert len(run.measurements()) == 301


def test_range_query_that_fails_is_asked_tick_by_tick():
    """A range that Prometheus refuses, because of one of its times, hides no other tick."""
    recording = Recording(ticks(GOOD, REFUSED, GOOD))
    run = start(recording)
    verdict = run.tick(START + 75)
    assert outcomes(run.measurements())[:3] == [Outcome.SUCCESS, Outcome.ERROR, Outcome.SUCCESS]
    assert verdict.decision is RUNNING


def test_missed_ticks_wait_for_a_prometheus_that_is_away():
    """An error now says nothing about then: history is asked again once Prometheus answers."""
    log, recording = MemoryLog(), Recording(ticks(GOOD))
    start(recording, log).tick(START)
    recording.away = True
    resumed = start(recording, log)
    assert resumed.tick(START + 75).decision is RUNNING
    assert outcomes(log.measurements("", "")) == [Outcome.SUCCESS, Outcome.ERROR]
    recording.away = False
    verdict = resumed.tick(START + 90)
    assert (verdict.decision, verdict.at_seconds) == (PROMOTE, 60)
    known = log.measurements("", "")
    assert outcomes(known).count(Outcome.ERROR) == 1


def test_history_that_stays_unanswerable_is_an_error_once_prometheus_is_back():
    """A tick that fails while newer ones answer is not waited for for ever."""
    log = MemoryLog()
    recording = Recording(ticks(GOOD, REFUSED, GOOD))
    start(recording, log).tick(START)
    resumed = start(recording, log)
    resumed.tick(START + 30)
    resumed.tick(START + 45)
    assert outcomes(log.measurements("", "")) == [
        Outcome.SUCCESS,
        Outcome.ERROR,
        Outcome.SUCCESS,
        Outcome.SUCCESS,
    ]


def test_a_missed_tick_that_fails_while_the_newest_one_answers_is_an_error():
    """As it would have been at its time: the verdict falls where the uninterrupted run gave it."""
    watched = gate(min_coverage=0.5, min_duration_seconds=45.0)
    log, recording = MemoryLog(), Recording(ticks(GOOD, GOOD, REFUSED, GOOD))
    run = start(recording, log, watched)
    run.tick(START)
    run.tick(START + 15)
    verdict = start(recording, log, watched).tick(START + 45)
    assert (verdict.decision, verdict.at_seconds) == (PROMOTE, 45)
    assert verdict == drive(start(recording, watched=watched), 600)


def test_a_missed_tick_that_fails_in_passing_is_asked_once_more():
    """A query that Prometheus drops once, while it answers others, costs no coverage."""

    class Dropping(Recording):
        def answer(self, one, at_unix, *, again=False):
            seconds = at_unix - START + self.delay_seconds
            # a source that shares answers gives the same one, unless it is asked again
            dropped = seconds == 30.0 and not again
            found = super().answer(one, at_unix, again=again)
            return REFUSED if dropped else found

        def history(self, one, first_unix, step_seconds, count):
            return [REFUSED]

    log, recording = MemoryLog(), Dropping(ticks(GOOD))
    start(recording, log).tick(START)
    start(recording, log).tick(START + 45)
    assert outcomes(log.measurements("", "")) == [Outcome.SUCCESS] * 4


@pytest.mark.parametrize("first", [REFUSED, GOOD])
def test_a_judge_that_is_dead_until_after_the_end_gives_the_verdict_that_fell(first):
    """Back after max_duration, it does not time out over missed ticks that can still be asked."""
    watched = gate(min_coverage=0.5, max_duration_seconds=90.0)
    answers = ticks(first, *[GOOD] * 4, nan, nan, GOOD)
    uninterrupted = drive(start(Recording(answers), watched=watched), 600)
    late = start(Recording(answers), watched=watched)
    looks = [late.tick(START + seconds) for seconds in (120, 135)]
    assert (uninterrupted.decision, looks[-1]) == (PROMOTE, uninterrupted)


@pytest.mark.parametrize("on_timeout", [HOLD, ROLLBACK])
def test_the_tick_at_max_duration_decides_nothing_before_it_is_asked(on_timeout):
    """A judge that was killed before it comes back to a Prometheus that is away: nothing is late yet."""
    watched = gate(min_duration_seconds=60.0, max_duration_seconds=60.0, on_timeout=on_timeout)
    log, recording = MemoryLog(), Recording(ticks(GOOD))
    drive(start(recording, log, watched), 45)
    recording.away = True
    resumed = start(recording, log, watched)
    assert resumed.tick(START + 76).decision is RUNNING
    recording.away = False
    verdict = resumed.tick(START + 91)
    assert (verdict.decision, verdict.at_seconds) == (PROMOTE, 60)


def test_missed_ticks_that_are_never_answered_end_in_on_blind():
    """A Prometheus that stays away holds the verdict back for blind_limit, not for ever."""
    log, recording = MemoryLog(), Recording(ticks(GOOD))
    watched = gate(blind_limit_seconds=30.0, max_duration_seconds=90.0)
    start(recording, log, watched).tick(START)
    recording.away = True
    resumed = start(recording, log, watched)
    seen = [resumed.tick(START + seconds).decision for seconds in (90, 105, 120, 135)]
    assert seen == [RUNNING, RUNNING, RUNNING, ROLLBACK]


def test_blindness_of_a_live_run_ends_in_on_blind():
    """Errors of live ticks count from the first one."""
    run = start(Recording(ticks(GOOD, REFUSED)), watched=gate(blind_limit_seconds=30.0))
    verdict = drive(run, 600)
    assert (verdict.decision, verdict.at_seconds) == (ROLLBACK, 60)


def test_crash_between_two_rows_of_a_tick_asks_only_what_is_missing():
    """Criteria whose row is there are not asked again."""
    one, two = criterion("one"), criterion("two")
    watched = gate(one, two)
    answers = [{"one": answer(GOOD), "two": answer(GOOD)}]
    log, recording = MemoryLog(), Recording(answers)
    start(recording, log, watched).tick(START)
    del log.rows["two", 0.0]
    recording.asked.clear()
    start(recording, log, watched).tick(START + 1)
    assert recording.asked == [("two", 0.0)]


def test_resumed_run_repeats_the_verdict_without_asking():
    """A verdict that fell before the crash falls again from the rows alone."""
    log, recording = MemoryLog(), Recording(ticks(GOOD, BAD))
    assert drive(start(recording, log), 600).decision is ROLLBACK
    recording.asked.clear()
    assert start(recording, log).tick(START + 500).decision is ROLLBACK
    assert recording.asked == []


def test_of_two_judges_of_one_run_both_judge_what_the_journal_has():
    """The first row of a tick stands, also for who asked a moment later and saw something else."""
    log = MemoryLog()
    sighted, blinded = Recording(ticks(GOOD)), Recording(ticks(REFUSED))
    ours, other = start(sighted, log), start(blinded, log)
    for seconds in (0, 15, 30, 45, 60):
        if seconds:
            other.tick(START + seconds)
        verdict = ours.tick(START + seconds)
    assert outcomes(log.measurements("", "")) == [Outcome.SUCCESS] + [Outcome.ERROR] * 4
    assert verdict.decision is RUNNING
    assert list(ours.measurements()) == log.measurements("", "")
    assert verdict == start(sighted, log).tick(START + 60)


def test_a_second_sample_that_another_judge_had_first_stands():
    """It refuted the Failure, so the run goes on although our own second sample confirms it."""
    log = MemoryLog()
    recovered = Recording(ticks(BAD), confirms={("stale", 5.0): answer(GOOD)})
    ours, other = start(Recording(ticks(BAD)), log), start(recovered, log)
    for judge in (ours, other):
        judge.tick(START)
    other.tick(START + 5)
    assert ours.tick(START + 5).decision is RUNNING
    assert not ours.measurements()[0].confirmed


def test_fleet_size_reaches_the_measurement():
    """expect_series fleet is this step's number of instances."""
    one = criterion(expect_series="fleet", severity=Severity.SOFT)
    recording = Recording(ticks(answer(GOOD, baseline=BASELINE)))
    log = MemoryLog()
    drive(start(recording, log, gate(one), fleet_size=2), 20)
    assert outcomes(log.measurements("", ""))[0] is Outcome.NO_DATA


@pytest.mark.parametrize(("until", "decision"), [(30, HOLD), (600, PROMOTE)])
def test_end_holds_what_is_undecided_and_keeps_what_is_decided(until, decision):
    """Cancelling a running gate is a Hold, cancelling a finished one changes nothing."""
    run = start(Recording(ticks(GOOD)))
    drive(run, until)
    assert run.end(START + until).decision is decision
    assert run.tick(START + until + 60).decision is decision


def test_end_promotes_nothing_over_a_second_sample_that_is_due():
    """Cancelled at the very tick that fails, before its second sample: Hold."""
    run = start(Recording(ticks(*[GOOD] * 4, BAD)))
    drive(run, 60)
    assert run.end(START + 60).decision is HOLD


def test_end_promotes_nothing_over_ticks_that_can_still_be_asked():
    """Cancelled while a missed tick is open that Prometheus may yet answer: Hold."""
    watched = gate(min_coverage=0.5, min_duration_seconds=45.0)
    log, recording = MemoryLog(), Recording(ticks(GOOD))
    assert drive(start(recording, log, watched), 600).decision is PROMOTE
    del log.rows["stale", 15.0]
    assert start(recording, log, watched).end(START + 45).decision is HOLD


def test_end_keeps_a_rollback_over_ticks_that_can_still_be_asked():
    """Cancelled before a missed tick is asked: a breach needs no other tick beside it."""
    log = MemoryLog()
    assert drive(start(Recording(ticks(GOOD, GOOD, BAD)), log), 600).decision is ROLLBACK
    del log.rows["stale", 15.0]
    assert start(Recording(ticks(GOOD)), log).end(START + 35).decision is ROLLBACK


def test_journal_on_disk_resumes_a_run_and_keeps_runs_apart(tmp_path):
    """Rows of one run in the real journal end it again; another run of the step starts empty."""
    from feed_migration.journal.store import Journal

    recording = Recording(ticks(GOOD, BAD))
    first = start(recording, Journal(tmp_path / "journal.db"), run="cutover-10/1")
    expected = drive(first, 600)
    recording.asked.clear()
    again = start(recording, Journal(tmp_path / "journal.db"), run="cutover-10/1")
    assert again.tick(START + 500) == expected
    assert recording.asked == []
    fresh = start(recording, Journal(tmp_path / "journal.db"), run="cutover-10/2")
    assert fresh.measurements() == ()
