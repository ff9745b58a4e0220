"""The plan of the nemesis, its proxy and checker, and a slice of `make chaos PART=nemesis`."""

import json
from types import SimpleNamespace

import pytest
import requests

from feed_migration.model import Decision
from feed_migration.phases import MigrationState, Status
from feed_migration.plan.reader import load_plan
from tests.chaos.nemesis.check import journal_faults, promoted_in_breach, wanted_variants
from tests.chaos.nemesis.part import attack_nemesis
from tests.chaos.nemesis.plan import DECK, KINDS, make_trial, plan_text
from tests.chaos.nemesis.plan import STEPS as PASSED
from tests.chaos.nemesis.proxy import PrometheusProxy
from tests.chaos.part import Asked
from tests.support.prometheus_server import free_port

STEPS = [
    {"name": "cutover-50", "phase": "cutover", "gated": True},
    {"name": "cutover-100", "phase": "cutover", "gated": True},
]


def event(seq, kind, **body):
    return SimpleNamespace(
        seq=seq, at=float(seq), kind=kind, body=body, migration_id="mig-1", actor="test"
    )


def begun(*others):
    first = event(1, "migration_started", plan="p", epoch=1, steps=STEPS)
    return [first, *(event(seq, kind, **body) for seq, (kind, body) in enumerate(others, 2))]


def test_a_trial_is_its_seed():
    """The same seed, the same strikes; another seed, others."""
    assert make_trial(7) == make_trial(7) != make_trial(7 + len(DECK))
    assert make_trial(7).seed == 7


@pytest.mark.parametrize("first", [1, 5, 1000])
def test_as_many_seeds_as_columns_have_every_kind(first):
    """Wherever a run begins, its trials strike every part in every way at least once."""
    trials = [make_trial(seed) for seed in range(first, first + len(DECK))]
    assert {strike.kind for trial in trials for strike in trial.strikes} == KINDS


def test_a_forger_has_a_lasting_breach_to_hide():
    """Answers that say all is well come while the native feed is broken for good."""
    trials = [make_trial(seed) for seed in range(1, 200)]
    forged = [
        trial
        for trial in trials
        if any(strike.kind == "answers:forged" for strike in trial.strikes)
    ]
    assert forged
    assert all(trial.breached for trial in forged)
    assert {trial.breached for trial in trials} == {True, False}


def test_the_plan_is_valid_and_has_two_steps_and_a_watch(tmp_path):
    """It exposes half of the fleet, then all of it."""
    path = tmp_path / "plan.yaml"
    path.write_text(plan_text())
    plan = load_plan(path)
    assert [step.percent for step in plan.steps if step.phase == "cutover"] == [50, 100]
    assert plan.step("stabilisation").gate is not None
    assert tuple(one.name for one in plan.steps if one.gate and one.phase != "shadow") == PASSED


@pytest.mark.parametrize(
    ("status", "native"),
    [
        (Status.PROMOTED, {"a", "b"}),
        (Status.HELD, {"b"}),
        (Status.ROLLED_BACK, set()),
    ],
)
def test_each_legal_end_says_where_the_fleet_is(status, native):
    """Native where promoted, as exposed where held, else ccxt."""
    state = MigrationState(status=status, exposed=("b",))
    wanted = wanted_variants(state, ["a", "b"])
    assert {name for name, variant in wanted.items() if variant == "native"} == native


@pytest.mark.parametrize("status", [Status.RUNNING, Status.ROLLING_BACK, Status.ABSENT])
def test_a_migration_under_way_or_not_begun_is_at_no_end(status):
    """Whatever the fleet looks like."""
    assert wanted_variants(MigrationState(status=status), ["a"]) is None


def test_a_promotion_needs_a_promote():
    """Of the gate or of a person with a reason; a Hold is none."""
    promoted = ("step_promoted", {"step": "cutover-50"})
    hold = ("verdict", {"step": "cutover-50", "decision": str(Decision.HOLD)})
    promote = ("verdict", {"step": "cutover-50", "decision": str(Decision.PROMOTE)})
    person = ("approval", {"step": "cutover-50", "decision": "Promote", "reason": "seen"})
    assert journal_faults(begun(promoted))
    assert journal_faults(begun(hold, promoted))
    assert not journal_faults(begun(promote, promoted))
    assert not journal_faults(begun(person, promoted))


def test_a_step_needs_those_before_it():
    """An act of the second step before the first one's promotion is found."""
    act = ("act_intended", {"step": "cutover-100", "variant": "native", "instances": ["a"]})
    promote = ("verdict", {"step": "cutover-50", "decision": str(Decision.PROMOTE)})
    promoted = ("step_promoted", {"step": "cutover-50"})
    assert journal_faults(begun(act))
    assert not journal_faults(begun(promote, promoted, act))


def test_a_promoted_fleet_is_not_taken_back():
    """Not by the run that promoted it, and not by anybody else during a trial."""
    steps = [event(1, "migration_started", plan="p", epoch=1, steps=[])]
    steps.append(event(2, "migration_finished", outcome="promoted"))
    assert not journal_faults(steps)
    assert journal_faults([*steps, event(3, "rollback_started", epoch=2)])


def test_a_step_promoted_long_after_the_breach_is_found():
    """One whose last tick was before it is not."""
    promoted = event(100, "step_promoted", step="cutover-50")
    assert promoted_in_breach([promoted], breached_at=60.0)
    assert not promoted_in_breach([promoted], breached_at=95.0)


def test_what_is_rightly_not_heard_is_no_fault():
    """An act that a rollback has overtaken may be confirmed late; a promotion may not come then."""
    back = ("rollback_started", {"epoch": 2})
    late = ("act_confirmed", {"step": "cutover-50", "variant": "native", "instances": ["a"]})
    finished = ("step_promoted", {"step": "cutover-50"})
    assert not journal_faults(begun(back, late))
    assert journal_faults(begun(back, finished))


@pytest.mark.parametrize(
    ("mode", "values"), [("empty", []), ("nan", ["NaN"] * 4), ("forged", ["0"] * 4)]
)
def test_the_proxy_lies_as_told(mode, values):
    """In answers that Prometheus itself could have given."""
    proxy = PrometheusProxy(free_port(), "http://127.0.0.1:1")
    with proxy.serving():
        proxy.mode = mode
        answer = requests.get(f"{proxy.url}/api/v1/query", params={"query": "up"}, timeout=5)
        assert [row["value"][1] for row in answer.json()["data"]["result"]] == values
        proxy.mode = "http_503"
        assert requests.get(f"{proxy.url}/api/v1/query", timeout=5).status_code == 503


def test_a_doubtful_proxy_lies_of_health_alone():
    """Every other question goes to Prometheus, which here is not there."""
    proxy = PrometheusProxy(free_port(), "http://127.0.0.1:1")
    with proxy.serving():
        proxy.mode = "doubtful"
        asked = {"query": "min(backpack_feed_healthy)"}
        answer = requests.get(f"{proxy.url}/api/v1/query", params=asked, timeout=5)
        assert {row["value"][1] for row in answer.json()["data"]["result"]} == {"0.35"}
        asked = {"query": "up"}
        assert requests.get(f"{proxy.url}/api/v1/query", params=asked, timeout=5).status_code == 502


def test_the_proxy_replays_the_last_honest_answer():
    """Of the same question, with the time of the lie."""
    proxy = PrometheusProxy(free_port(), "http://127.0.0.1:1")
    row = {"metric": {"instance_id": "feed-00"}, "value": [1.0, "7"]}
    with proxy.serving():
        proxy.remember("up", {"data": {"resultType": "vector", "result": [row]}})
        proxy.mode = "replayed"
        answer = requests.get(f"{proxy.url}/api/v1/query", params={"query": "up"}, timeout=5)
        (found,) = answer.json()["data"]["result"]
    assert found["value"][1] == "7"
    assert found["value"][0] > 1.0


@pytest.mark.process
@pytest.mark.alone
@pytest.mark.timeout(1200)
def test_a_migration_under_attack_comes_to_a_legal_end(tmp_path):
    """Airflow drives it while parts are killed, stopped and lied to; no trade is lost."""
    found = attack_nemesis(Asked(count=1, seed=2, jobs=1, folder=tmp_path))
    print(json.dumps(found.fields, indent=2))  # noqa: T201 - shown with -s, and by a failure
    assert found.kept
    assert found.fields["nemesis_trades_compared"] > 0
    assert len(found.fields["nemesis_strikes"]) > 2
