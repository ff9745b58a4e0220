"""The question before a step: short, worst first, and in words that a person reads."""

from dataclasses import replace

import pytest

from feed_migration.addresses import Addresses
from feed_migration.evidence import (
    ROWS_SHOWN,
    approval_body,
    evidence_rows,
    nearness,
    verdict_line,
    what_happens,
)
from feed_migration.model import Approver, Gate, Measurement, Outcome, Step
from feed_migration.phases import MigrationState
from feed_migration.words import span

ADDRESSES = Addresses(airflow="http://a", prometheus="http://p")
STEP = Step(name="cutover-50", phase="cutover", percent=50, approval=True)
STATE = MigrationState(migration_id="m1", plan_name="demo", exposed=("feed-00",))
VERDICT = {"step": "cutover-10", "run": "1", "decision": "Promote", "at_seconds": 62.0}
BANDS = "success <= 0, failure >= 1"


def row(name, value=0.0, threshold=BANDS, outcome=Outcome.SUCCESS, series=(), **more):
    return Measurement(
        criterion=name, tick_seconds=60.0, outcome=outcome, counts_as=outcome, value=value,
        threshold=threshold, series=series, query=f"q_{name}", **more,
    )  # fmt: skip


FOURTEEN = [
    *(row(f"errors_{k:02}", series=(("instance_id", "feed-00"), ("job", "j"))) for k in range(12)),
    row("age", 6.0, "success <= 8, failure >= 12", series=(("symbol", "SOL-USDC"),)),
    row("health", 1.0, "success >= 0.5, failure <= 0.2"),
]


def body(measured=FOURTEEN, verdict=VERDICT, step=STEP, state=STATE):
    return approval_body(step, state, verdict, measured, ADDRESSES, until_unix=0.0)


def test_the_last_verdict_is_one_line():
    """How long, how many, how well, and what was nearest to its threshold."""
    assert verdict_line(VERDICT, FOURTEEN) == (
        "Promote after 62 s, 14 criteria, all Success; "
        "nearest to its threshold: age 6 (success <= 8, failure >= 12)"
    )


def test_a_threshold_in_times_of_the_baseline_tells_the_baseline():
    """Without it nobody can see how near the value is."""
    latency = row("latency", 0.08, "at most 2 times the baseline", baseline_value=0.05)
    told = "at most 2 times the baseline 0.05"
    assert evidence_rows([latency], ADDRESSES)[0].threshold == told
    assert verdict_line(VERDICT, [latency]).endswith(f"latency 0.08 ({told})")
    # elsewhere a baseline only says that the pipeline lives
    assert evidence_rows([row("a", baseline_value=10.0)], ADDRESSES)[0].threshold == BANDS
    unknown = row("latency", 0.08, "at most 2 times the baseline")
    assert evidence_rows([unknown], ADDRESSES)[0].threshold == "at most 2 times the baseline"


def test_what_was_not_well_is_counted_and_comes_first():
    """A row that is no Success must not be looked for."""
    measured = [*FOURTEEN, row("flow", None, outcome=Outcome.INCONCLUSIVE)]
    assert "15 criteria, 14 Success, 1 Inconclusive" in verdict_line(VERDICT, measured)
    names = [one.criterion for one in evidence_rows(measured, ADDRESSES)]
    assert names[:3] == ["flow", "age", "health"]


def test_a_hold_says_why():
    """Nothing was proven: there the reasons are the line."""
    held = {
        **VERDICT,
        "decision": "Hold",
        "reasons": [{"criterion": "hold", "text": "held by bob"}],
    }
    assert verdict_line(held, FOURTEEN) == "Hold after 62 s: held by bob"


def test_the_body_leaves_room_for_the_buttons():
    """Few lines, the others in one; no label of Prometheus's own, nothing said twice."""
    text = body()
    lines = text.splitlines()
    assert "**50 % of the fleet goes to the native feed**; on native now: 1 instance." in text
    criteria = [line for line in lines if line.startswith("* ")]
    assert len(criteria) == ROWS_SHOWN + 1
    assert criteria[0] == (
        "* [age](http://p/graph?g0.expr=q_age&g0.tab=0&g0.range_input=30m) (SOL-USDC) "
        "6: Success (success \\<= 8, failure \\>= 12)"
    )
    assert criteria[-1].startswith("* 12 more, all Success: [errors\\_00](")
    assert "job" not in text
    assert text.count("SOL-USDC") == 1
    assert len([line for line in lines if line and line not in criteria]) == 3


def test_every_criterion_is_in_the_body_with_its_value_and_its_graph():
    """The evidence is whole: what is not in a line of its own is in the last."""
    text = body()
    for one in FOURTEEN:
        name = one.criterion.replace("_", "\\_")
        graph = f"http://p/graph?g0.expr=q_{one.criterion}&g0.tab=0&g0.range_input=30m"
        assert f"[{name}]({graph})" in text
    assert text.endswith(") 0\n")


def test_every_criterion_that_is_not_well_has_a_line_of_its_own():
    """However many: the room is for what speaks against it."""
    bad = [row(f"bad_{k}", 2.0, outcome=Outcome.FAILURE) for k in range(7)]
    assert body([*FOURTEEN, *bad]).count(" 2: **Failure** (success") == 7


def test_who_may_answer_is_said_where_not_everybody_may():
    """By name: an administrator may not, and should know whom to wake."""
    assert "May answer" not in body()
    named = replace(STEP, approvers=(Approver(id="1", name="ann"), Approver(id="2", name="bob")))
    assert "May answer: ann, bob." in body(step=named)


def test_without_a_gate_the_body_says_so():
    """The first step that is asked for has nothing to show."""
    text = body(verdict=None)
    assert "No gate has run yet." in text
    assert "\n* " not in text


@pytest.mark.parametrize(
    ("one", "share"),
    [
        (row("a", 0.0), 0.0),
        (row("a", 0.5), 0.5),
        (row("a", 4.0, "success <= 8, failure >= 12"), 0.5),
        (row("a", 1.0, "success >= 0.5, failure <= 0.2"), 0.5),
        (row("a", 612.0, "success >= 1, failure <= -1"), 1 / 612),
        (row("a", 3.0, "at most 2 times the baseline", baseline_value=2.0), 0.75),
        (row("a", None), 0.0),
        (row("a", 3.0, "nobody knows"), 0.0),
        (row("a", 3.0, "success <= odd"), 0.0),
    ],
)
def test_nearness_is_the_share_of_the_way_to_the_threshold(one, share):
    """So that values of different kinds can be compared; what has no scale is never nearest."""
    assert nearness(one) == pytest.approx(share)


def test_each_step_says_what_begins():
    """The stabilisation is no bare word."""
    gate = Gate(
        interval_seconds=60, min_duration_seconds=86400, max_duration_seconds=9e4, criteria=()
    )
    stabilisation = replace(
        STEP, name="stabilisation", phase="stabilisation", percent=None, gate=gate
    )
    assert what_happens(stabilisation) == (
        "the stabilisation begins: the whole fleet on native is watched for at least 24 h"
    )
    assert (
        what_happens(replace(STEP, name="dry_run", phase="dry_run", percent=None))
        == "dry run begins"
    )


@pytest.mark.parametrize(
    ("seconds", "said"), [(62, "62 s"), (640, "10 min 40 s"), (7260, "2 h 1 min"), (600, "10 min")]
)
def test_lengths_of_time_are_short(seconds, said):
    """As on the page."""
    assert span(seconds) == said
