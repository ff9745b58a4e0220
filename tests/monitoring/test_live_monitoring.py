"""Rules, dashboards and the page of metrics against real processes under the demo's Prometheus.

Half the fleet of the demo's stack is native, its shadow has compared and was stopped by the cutover,
and a gate is open: a range query sees all of it, as a panel over the last hour would.
"""

import time

import pytest
from prometheus_client.parser import text_string_to_metric_families
from promql_parser import parse

from feed_migration.fleet.supervisor_rpc import STOPPED
from tests.support.conditions import eventually_sync
from tests.support.dashboards import NAMES, annotations, everything, queries, substituted
from tests.support.markdown_tables import tables, ticked
from tests.support.monitored_stack import monitored_stack
from tools.demo.layout import REPOSITORY

PANEL_SECONDS = 40.0
QUERIES = [query for name in NAMES for query in (*queries(name), *annotations(name))]
PAGE = tables((REPOSITORY / "docs" / "metrics.md").read_text())
SECTIONS = {
    "A FeedHandler": ("ccxt", "native", "shadow"),
    "Parity": ("shadow",),
    "The migration": ("guard",),
    "The guard": ("guard",),
    "Every process": ("ccxt", "native", "shadow", "guard"),
}
# how many series there are depends on what happened, so one process may have none
SOMETIMES = {
    "backpack_feed_ccxt_defects_total",
    "backpack_feed_rest_total",
    "backpack_feed_suppressed_total",
    "feed_migration_ended_timestamp_seconds",
    "feed_migration_guard_unproven_instance",
}

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    with monitored_stack(tmp_path_factory.mktemp("monitored")) as found:
        yield found


def answer(stack, query):
    """Series of a panel's query, as Grafana would ask it: for now, or since the migration began."""
    text = substituted(query.expression, everything(query.dashboard))
    if query.instant:
        return stack.query(text)
    span = {"start": stack.began_unix - 30, "end": time.time(), "step": 1}
    return list(stack.ask("query_range", query=text, **span)["result"])


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)
def test_every_panel_shows_data(stack, query):
    """Its query, variables substituted, has series in the demo's Prometheus."""
    eventually_sync(lambda: answer(stack, query), PANEL_SECONDS, lambda: query.expression)


def test_every_rule_is_evaluated(stack):
    """All groups are loaded, and none has an error."""

    def rules():
        found = [rule for group in stack.ask("rules")["groups"] for rule in group["rules"]]
        return found if all(rule["health"] != "unknown" for rule in found) else []

    found = eventually_sync(rules, PANEL_SECONDS)
    assert [rule for rule in found if rule["health"] != "ok"] == []
    names = {rule["name"] for rule in found}
    assert {"BackpackFeedDown", "BackpackGuardDown", "BackpackParityNativeBlamed"} <= names


@pytest.mark.parametrize("row", PAGE["Recorded series"], ids=lambda row: row["Series"])
def test_recorded_series_have_the_labels_of_the_page(stack, row):
    """Names are compared with the rules' files elsewhere."""
    name = ticked(row["Series"])[0]
    since = int(time.time() - stack.began_unix) + 60
    found = eventually_sync(
        lambda: stack.query(f"last_over_time({name}[{since}s])"), PANEL_SECONDS, lambda: name
    )
    labels = {label for series in found for label in series["metric"]} - {"__name__"}
    assert labels == set(ticked(row["Labels"]))


@pytest.fixture(scope="module")
def exported(stack):
    """Per process, what it exports: name → (type, label names seen, None without a series)."""
    layout = stack.layout
    statuses = stack.stack.fleet.instances

    def by_variant():
        found = {one.variant: layout.instances[one.id] for one in statuses()}
        return found if set(found) == {"ccxt", "native"} else {}

    # on a busy machine one may not answer in time
    variants = eventually_sync(by_variant, PANEL_SECONDS, statuses)
    said = {name: whole(stack, port) for name, port in variants.items()}
    said["guard"] = whole(stack, layout.guard_port)
    return said | {"shadow": read(stack.shadow_text)}


def whole(stack, port):
    """What a process exports once each family has a series: one just restarted heard nothing yet."""
    said = {}

    def lacking():
        said.update(read(stack.text(port)))
        return {name for name, (_, labels) in said.items() if labels is None} - SOMETIMES

    eventually_sync(lambda: not lacking(), PANEL_SECONDS, lacking)
    return said


def read(text):
    """The families of an exposition, counters with their `_total`."""
    found = {}
    for family in text_string_to_metric_families(text):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        found[name] = (family.type, labels if family.samples else None)
    # prometheus-client's times of creation say nothing that is asked for
    return {name: what for name, what in found.items() if not name.endswith("_created")}


def told(section):
    return {ticked(row["Metric"])[0]: row for row in PAGE[section]}


@pytest.mark.parametrize("process", ["ccxt", "native", "shadow", "guard"])
def test_the_page_has_what_a_process_exports(exported, process):
    """Names, both ways."""
    expected = {
        name for section, who in SECTIONS.items() if process in who for name in told(section)
    }
    assert set(exported[process]) == expected


@pytest.mark.parametrize("section", SECTIONS)
def test_types_and_labels_are_those_of_the_page(exported, section):
    """Of every metric, in every process that has it; a unit and a meaning beside them."""
    for name, row in told(section).items():
        found = [exported[process][name] for process in SECTIONS[section]]
        assert {kind for kind, _ in found} == {row["Type"]}, name
        seen = [labels for _, labels in found if labels is not None]
        assert name in SOMETIMES or len(seen) == len(found), f"{name} has no series"
        assert all(labels == set(ticked(row["Labels"])) for labels in seen), (name, seen)
        assert row["Unit"], name
        assert row["Meaning"], name


def test_the_migration_is_seen_as_it_is(stack):
    """Status, step, exposure and the plan's approval, through Prometheus."""
    for text in (
        'feed_migration_status{status="running"} == 1',
        'feed_migration_step_current{step="cutover-50",phase="cutover"} == 1',
        'feed_migration_step_promoted{step="shadow"} == 1',
        "feed_migration_guard_exposed_instances == 1",
        "feed_migration_gate_open == 1",
        'feed_migration_criterion_outcome{criterion="health",outcome="Success"} == 1',
        'feed_migration_criterion_limit{criterion="health",limit="success_min"} == 0.5',
        'feed_migration_approval_waiting_seconds{step="cutover-100"} == 0',
        'feed_migration_events_total{kind="step_promoted"} == 3',
    ):
        eventually_sync(lambda text=text: stack.query(text), PANEL_SECONDS, lambda text=text: text)
        parse(text)


def test_a_healthy_fleet_pages_nobody(stack):
    """Of all alerts only those that are true fire: the guard stands in for Airflow."""
    eventually_sync(lambda: stack.query('ALERTS{alertname="BackpackGuardWatches"}'), PANEL_SECONDS)
    firing = stack.query('ALERTS{alertstate="firing",severity="critical"}')
    assert firing == []


def test_a_process_that_dies_is_pending_at_once(stack):
    """Its target is down within two scrapes, and its alert counts."""
    name, port = next(iter(stack.layout.instances.items()))
    stack.stack.rpc.stop(name)
    try:
        text = f'ALERTS{{alertname="BackpackFeedDown",instance="127.0.0.1:{port}"}}'
        eventually_sync(lambda: stack.query(text), PANEL_SECONDS)
    finally:
        # the alert may be older than the stop, and what is still stopping is not started
        eventually_sync(lambda: stack.stack.rpc.states()[name] in STOPPED)
        stack.stack.rpc.start(name)


def test_nothing_died_meanwhile(stack):
    """The supervisor restarts what dies; a cutover's restarts it expects."""
    log = (stack.layout.home / "logs" / "supervisord.out").read_text()
    assert "success: feed-00" in log
    assert [line for line in log.splitlines() if "; not expected" in line] == []
