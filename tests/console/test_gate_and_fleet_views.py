"""The console's gate, fleet and parity: from measurements, statuses and files alone."""

from dataclasses import replace

import pytest

from feed_migration.console.fleet_view import away_since, fleet_view, instance_state
from feed_migration.console.gate_view import POINTS, gate_view
from feed_migration.console.parity_view import parity_view
from feed_migration.console.view import GateRunFacts
from feed_migration.fleet.base import InstanceStatus
from feed_migration.model import (
    Band,
    Criterion,
    FailureWindow,
    Gate,
    Measurement,
    Objective,
    Outcome,
)
from feed_migration.report.parity import ShardParity

GATE = Gate(
    interval_seconds=15.0,
    min_duration_seconds=60.0,
    max_duration_seconds=600.0,
    criteria=(Criterion(name="age", query="q", success=Band(maximum=5)),),
)


FACTS = GateRunFacts(step="cutover-10", run="2", key="dag_x/run+1#3", started_unix=1000.0)


def row(tick, outcome=Outcome.SUCCESS, value=1.0, **more):
    return Measurement(
        criterion="age",
        tick_seconds=15.0 * tick,
        outcome=outcome,
        counts_as=outcome,
        value=value,
        **more,
    )


def with_limits(**limits):
    return replace(GATE, criteria=(replace(GATE.criteria[0], **limits),))


def test_a_criterion_has_its_newest_value_and_its_history():
    """At most as many points as a sparkline shows, the newest last."""
    rows = [row(tick, value=float(tick)) for tick in range(POINTS + 5)]
    view = gate_view(FACTS, GATE, rows)
    (criterion,) = view["criteria"]
    assert (criterion["value"], criterion["outcome"]) == (POINTS + 4.0, "Success")
    assert len(criterion["points"]) == POINTS
    assert criterion["at"] == 1000.0 + 15.0 * (POINTS + 4)
    assert (view["dag_id"], view["run_id"]) == ("dag_x", "run+1")


def test_infinite_and_missing_values_are_strict_json():
    """A page reads JSON, which has no NaN and no infinity."""
    rows = [row(0, Outcome.FAILURE, float("inf")), row(1, Outcome.NO_DATA, None)]
    (criterion,) = gate_view(FACTS, GATE, rows)["criteria"]
    assert [value for _, value, _ in criterion["points"]] == ["+Inf", None]


def test_a_criterion_that_was_never_measured_says_so():
    """A gate that has just begun lists its criteria already."""
    (criterion,) = gate_view(FACTS, GATE, [])["criteria"]
    assert (criterion["outcome"], criterion["points"]) == (None, [])


def test_measurements_are_shown_without_their_plan():
    """The plan file may be another one by now: what was measured is still true."""
    (criterion,) = gate_view(FACTS, None, [row(0, threshold="success <= 5")])["criteria"]
    assert (criterion["name"], criterion["threshold"]) == ("age", "success <= 5")


@pytest.mark.parametrize(
    ("limits", "rows", "text", "left"),
    [
        ({}, [row(0, Outcome.FAILURE)], None, None),
        ({"failure_limit": 4}, [row(0, Outcome.FAILURE), row(1)], "1 of 4 failures", 0.75),
        ({"consecutive_failure_limit": 2}, [row(k, Outcome.FAILURE) for k in range(2)], "2 of 2 failures in a row", 0.0),
        ({"consecutive_failure_limit": 2}, [row(0, Outcome.FAILURE), row(1)], "0 of 2 failures in a row", 1.0),
        ({"failure_window": FailureWindow(limit=2, window_seconds=60.0)}, [row(0, Outcome.FAILURE), row(9, Outcome.FAILURE)], "1 of 2 failures within 60 s", 0.5),
        ({"objective": Objective(target=0.99, over_seconds=6000.0)}, [row(0, Outcome.FAILURE)], "1 of 4 bad checks within 6000 s", 0.75),
        ({"failure_limit": 10, "consecutive_failure_limit": 2}, [row(0, Outcome.FAILURE)], "1 of 2 failures in a row", 0.5),
    ],
)  # fmt: skip
def test_the_budget_is_that_of_the_tightest_limit(limits, rows, text, left):
    """What is left before a breach, counted as the judge counts."""
    (criterion,) = gate_view(FACTS, with_limits(**limits), rows)["criteria"]
    budget = criterion["budget"]
    assert (budget and budget["text"]) == text
    assert (budget and pytest.approx(budget["left_share"])) == left


def status(**more):
    base = {
        "id": "feed-00",
        "variant": "native",
        "ready": True,
        "healthy": True,
        "reasons": (),
        "url": "",
    }
    return InstanceStatus(**{**base, **more})


@pytest.mark.parametrize(
    ("seen", "away_seconds", "state"),
    [
        (status(), None, "native"),
        (status(variant="ccxt"), None, "ccxt"),
        (status(healthy=False), None, "unhealthy"),
        (status(healthy=False), 5.0, "restarting"),
        (status(variant="unknown", ready=False, healthy=False), 5.0, "restarting"),
        (status(variant="unknown", ready=False, healthy=False), 61.0, "unhealthy"),
    ],
)
def test_an_instance_is_in_one_of_four_states(seen, away_seconds, state):
    """Away for as long as a start may take is a restart; for longer it is a fault."""
    assert instance_state(seen, away_seconds, 60.0) == state


def test_an_instance_that_comes_back_counts_anew():
    """The next restart has the whole deadline again."""
    down = status(ready=False)
    since = away_since({}, [down], 100.0)
    assert away_since(since, [down], 130.0) == {"feed-00": 100.0}
    assert away_since(since, [status()], 140.0) == {}


def test_a_planned_restart_never_flashes_as_a_fault():
    """Unwell before it goes down, and unwell when it is up again but has not caught up."""
    unwell = status(healthy=False)
    assert away_since({}, [unwell], 100.0) == {}
    planned = away_since({}, [unwell], 100.0, {"feed-00"})
    assert planned == {"feed-00": 100.0}
    down = away_since(planned, [status(ready=False)], 101.0, {"feed-00"})
    assert away_since(down, [unwell], 103.0) == {"feed-00": 100.0}


def test_the_map_counts_every_state():
    """Counts are of the fleet; shadows are beside it."""
    view = fleet_view(
        [status(), status(id="feed-01", variant="ccxt"), status(id="feed-02", healthy=False)],
        [status(id="shadow-00", variant="shadow", pid=7), status(id="shadow-01", ready=False)],
        away_since={},
        now_unix=0.0,
        ready_deadline_seconds=60.0,
    )
    assert view["counts"] == {"ccxt": 1, "native": 1, "restarting": 0, "unhealthy": 1}
    assert view["total"] == 3
    assert [name for name, *_ in view["shadows"]] == ["shadow-00"]


def test_parity_names_the_party_at_fault_with_examples():
    """Native's disagreements come first: they are what the verdict is about."""
    facts = {
        "compared": {"trade": 10, "book": 4},
        "agreed": {"trade": 9, "book": 3},
        "unsettled": 1,
        "disagreements": {"book/native": 1, "missing/ccxt": 1},
        "samples": [
            {"blamed": "ccxt", "kind": "missing", "symbol": "SOL-USDC", "id": 7, "native": {"price": "1"}},
            {"blamed": "native", "kind": "book", "symbol": "SOL-USDC", "sequence": 3,
             "first_difference": {"side": "bid", "depth": 0, "native": ["1", "2"], "venue": ["1", "3"]}},
        ],
    }  # fmt: skip
    view = parity_view([ShardParity("shadow-00", facts), ShardParity("shadow-01", problem="torn")])
    assert view["compared"][0] == {"kind": "trade", "compared": 10, "agreed": 9}
    assert view["samples"][0][:4] == ["native", "book", "SOL-USDC", "3 bid 0"]
    assert view["problems"] == ["shadow-01: torn"]


def test_odd_parity_files_do_no_harm():
    """They are written by other processes, perhaps of another version."""
    odd = {"compared": {"trade": "many"}, "disagreements": [], "samples": "none", "unsettled": None}
    view = parity_view([ShardParity("shadow-00", odd)])
    assert (view["compared"], view["samples"], view["unsettled"]) == ([], [], 0)
