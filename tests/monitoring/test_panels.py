"""What panels show in situations in which somebody may look at them at night.

Each query is asked of series that are written down here, by `promtool test rules`.
"""

import shutil
import subprocess

import pytest
import yaml

from tests.support.dashboards import everything, panels, queries, substituted

STARTED = 'feed_migration_gate_started_timestamp_seconds{step="shadow",run="1"}'
LEAST = 'feed_migration_gate_min_duration_seconds{step="shadow",run="1"}'
TICK = 'feed_migration_gate_last_tick_timestamp_seconds{step="shadow",run="1"}'
OPEN = "feed_migration_gate_open"
LEASE = 'feed_migration_guard_lease_left_seconds{job="guard",instance="g:9699"}'
FIRES = 'ALERTS{alertname="BackpackLeaseRunsOut",alertstate="firing",severity="critical"}'
APPROVAL = 'feed_migration_approval_waiting_seconds{step="cutover-50"}'
FEEDBACK = "feed_migration_feedback_waiting_seconds"
NEXT_PHASE = "feed_migration_next_phase_waiting_seconds"
OUTCOME = 'feed_migration_criterion_outcome{job="guard",step="shadow",criterion="age",outcome="%s"}'
CONSTANT = "{}x10"


@pytest.fixture
def ask(tmp_path):
    """Ask what a panel's query gives a minute after the series began: {labels: value}."""
    assert shutil.which("promtool"), "promtool is missing: run tools/setup.sh"

    def asked(dashboard, panel, ref, series, expected):
        (query,) = [one for one in queries(dashboard) if (one.panel, one.ref) == (panel, ref)]
        inputs = [
            {"series": name, "values": value if isinstance(value, str) else CONSTANT.format(value)}
            for name, value in series.items()
        ]
        samples = [{"labels": labels, "value": value} for labels, value in expected.items()]
        expression = substituted(query.expression, everything(dashboard))
        question = {"expr": expression, "eval_time": "1m", "exp_samples": samples}
        test = {"interval": "15s", "input_series": inputs, "promql_expr_test": [question]}
        path = tmp_path / "panel.yaml"
        path.write_text(yaml.safe_dump({"tests": [test]}))
        found = subprocess.run(
            ["promtool", "test", "rules", path], capture_output=True, text=True, check=False
        )
        assert found.returncode == 0, found.stdout + found.stderr

    return asked


def mappings(dashboard, title):
    """What a panel writes instead of values: {value, or name of special ones: text}."""
    (panel,) = [one for one in panels(dashboard) if one["title"] == title]
    texts = {}
    for mapping in panel["fieldConfig"]["defaults"]["mappings"]:
        if mapping["type"] == "special":
            texts[mapping["options"]["match"]] = mapping["options"]["result"]["text"]
        else:
            texts |= {value: to["text"] for value, to in mapping["options"].items()}
    return texts


def test_the_gauge_of_the_gate_fills_while_it_is_open(ask):
    """Half of its two minutes are over."""
    series = {STARTED: 0, LEAST: 120, OPEN: 1}
    ask("migration", "Gate", "A", series, {'{run="1", step="shadow"}': 0.5})


def test_the_gauge_of_the_gate_does_not_fill_up_behind_a_hold(ask):
    """Held after half a minute, it must not be green and full an hour later."""
    ask("migration", "Gate", "A", {STARTED: -3600, LEAST: 120, OPEN: 0}, {})


def test_the_last_tick_of_a_gate_that_is_over_does_not_grow_old(ask):
    """Red for the hours in which an approval is asked for, it would be looked into for nothing."""
    age = {'{run="1", step="shadow"}': 50}
    ask("migration", "Since the last tick", "A", {STARTED: 0, TICK: 10, OPEN: 1}, age)
    ask("migration", "Since the last tick", "A", {STARTED: 0, TICK: 10, OPEN: 0}, {})


def test_a_gate_that_was_never_asked_grows_old_from_its_beginning(ask):
    """There is no tick to count from."""
    series = {STARTED: 0, OPEN: 1}
    ask("migration", "Since the last tick", "A", series, {'{run="1", step="shadow"}': 60})


def test_a_lease_is_red_while_its_alert_fires_and_says_none_where_there_is_none(ask):
    """However long it is: the demo's is a minute, that of an approval a day."""
    ask("migration", "Lease", "A", {LEASE: 45}, {labelled(LEASE, **{"is": "held"}): 45})
    running_out = {labelled(LEASE, **{"is": "running out"}): 100}
    ask("migration", "Lease", "A", {LEASE: 100, FIRES: 1}, running_out)
    assert mappings("migration", "Lease")["null+nan"] == "none"
    assert mappings("migration", "Last rollback")["null+nan"] == "none"


@pytest.mark.parametrize(
    ("waiting", "who"),
    [(APPROVAL, "approval of"), (FEEDBACK, "consumers"), (NEXT_PHASE, "start of the next phase")],
)
def test_the_panel_of_people_says_who_is_waited_for(ask, waiting, who):
    """Not only approvers."""
    series = {APPROVAL: 0, FEEDBACK: 0, NEXT_PHASE: 0}
    ask("migration", "Waits for a person", "A", series, {'{who="nobody"}': 0})
    expected = {labelled(waiting, who=who): 300}
    ask("migration", "Waits for a person", "A", {**series, waiting: 300}, expected)


def labelled(series, **more):
    """The series with further labels."""
    name, _, labels = series.rstrip("}").partition("{")
    added = [f'{key}="{value}"' for key, value in more.items()]
    return f"{name}{{{','.join([*filter(None, [labels]), *added])}}}"


def test_a_guard_that_nobody_scrapes_is_down(ask):
    """As its alert says, and no empty panel."""
    up = 'up{job="feed_migration_guard",instance="g:9699"}'
    ask("migration", "Guard", "A", {up: 1}, {"{}": 1})
    ask("migration", "Guard", "A", {}, {"{}": 0})


def test_a_promoted_step_is_not_at_work_until_the_next_one_begins(ask):
    """While an approval is asked for it is still the newest one, and so it is current as well."""
    current = 'feed_migration_step_current{step="cutover-10",phase="cutover"}'
    promoted = 'feed_migration_step_promoted{step="cutover-10",phase="cutover"}'
    labels = '{phase="cutover", step="cutover-10"}'
    ask("migration", "Steps", "A", {current: 1, promoted: 1}, {labels: 3})
    assert mappings("migration", "Steps")["3"] == "promoted"


def test_a_criterion_that_cannot_be_measured_has_its_outcome_in_the_table(ask):
    """It has no value, and was a row without an outcome."""
    series = {OUTCOME % "NoData": 1, OUTCOME % "Success": 0}
    labels = '{criterion="age", outcome="NoData", step="shadow"}'
    ask("migration", "Criteria", "A", series, {labels: 1})


def test_an_instance_that_does_not_answer_is_not_healthy(ask):
    """Half the fleet is down, the other half well."""
    healthy = 'backpack_feed:instance_healthy{role="handler",instance="%s"}'
    ask("fleet", "Healthy", "A", {healthy % "a": 1, healthy % "b": 0}, {"{}": 0.5})


def test_shadows_that_the_cutover_stopped_are_no_bad_fleet(ask):
    """They stay among the targets."""
    series = {
        'backpack_feed:instance_healthy{role="handler",instance="a"}': 1,
        'backpack_feed:instance_healthy{role="shadow",instance="b"}': 0,
    }
    ask("fleet", "Not healthy", "A", series, {'{role="handler"}': 0})


@pytest.mark.parametrize("dashboard", ["fleet", "migration"])
def test_what_is_for_the_record_is_no_alert_that_counts(ask, dashboard):
    """A fault of ccxt in the shadow phase holds up nothing."""
    fires = 'ALERTS{alertname="BackpackParityOthersBlamed",alertstate="firing",severity="%s"}'
    ask(dashboard, "Firing alerts", "A", {fires % "info": 1}, {"{}": 0})
    ask(dashboard, "Firing alerts", "A", {fires % "warning": 1}, {"{}": 1})


def test_what_nobody_can_prove_is_a_share_of_its_own_market(ask):
    """One market of which a quarter is unsettled shows beside one of which nothing is."""
    series = {
        f'backpack_feed_parity_{name}_total{{instance_id="shadow-0",symbol="{symbol}",kind="trade"}}': (
            f"0+{step}x10"
        )
        for symbol, unproven in (("SOL-USDC", 1), ("BTC-USDC", 0))
        for name, step in (("unproven", unproven), ("proven", 4 - unproven))
    }
    shares = {'{symbol="SOL-USDC", kind="trade"}': 0.25, '{symbol="BTC-USDC", kind="trade"}': 0}
    ask("migration", "Not proven, by market", "A", series, shares)
