"""What the preflight asks of Prometheus before anything is touched."""

import json
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from feed_migration.deployment import load_deployment
from feed_migration.errors import PreflightFailed
from feed_migration.model import Comparison, Criterion, Plan
from feed_migration.orchestration.preflight import preflight
from tests.support.http_server import http_server, send
from tests.support.memory_fleet import MemoryFleet
from tests.support.migration_plans import GATE, PLAN
from tests.support.prometheus_server import free_port

CHECKOUT = Path(__file__).parents[2]
WHOLE = Criterion(
    name="errors",
    query="errors",
    baseline_query="others",
    max_age_seconds=5.0,
    freshness_query="age",
    comparison=Comparison(
        method="rate_ratio",
        max_increase=1.0,
        min_samples=2,
        exposure_query="messages",
        baseline_exposure_query="messages",
    ),
)


def asking(*criteria: Criterion) -> Plan:
    """The small plan, whose gates ask these."""
    gate = replace(GATE, criteria=criteria)
    return replace(PLAN, steps=[replace(s, gate=gate if s.gate else None) for s in PLAN.steps])


@pytest.fixture
def check(tmp_path):
    """The preflight of a plan and a Prometheus, with all else in order."""

    def checked(plan, url, **more):
        (tmp_path / "api_key.json").touch(mode=0o600)
        deployment = {
            "prometheus_url": url,
            "instances": [{"id": "feed-00", "url": "http://127.0.0.1:1", "config": "f.yaml"}],
            "credentials_file": "api_key.json",
            **more,
        }
        (tmp_path / "deployment.yaml").write_text(yaml.safe_dump(deployment))
        return preflight(load_deployment(tmp_path, {}), plan, MemoryFleet(), CHECKOUT, fresh=True)

    return checked


@pytest.fixture
def prometheus():
    """Refuses every query whose text is in `refused`, and answers the rest without data."""
    asked, refused = [], {}

    def answer(request):
        address = urlsplit(request.path)
        if address.path == "/-/ready":
            send(request, (200, {}, b""))
            return
        (query,) = parse_qs(address.query)["query"]
        asked.append(query)
        if query in refused:
            status, text = refused[query]
            body = {"status": "error", "errorType": "bad_data", "error": text}
        else:
            status, body = (
                200,
                {"status": "success", "data": {"resultType": "vector", "result": []}},
            )
        send(request, (status, {}, json.dumps(body).encode()))

    with http_server(answer) as url:
        yield url, asked, refused


def test_every_query_is_asked_once(check, prometheus):
    """Of four gates with the same criterion, its baseline, age and exposures; no data is fine."""
    url, asked, _ = prometheus
    assert "prometheus" in check(asking(WHOLE), url)
    assert sorted(asked) == ["age", "errors", "messages", "others"]


def test_a_query_that_prometheus_cannot_read_is_named_before_anything_is_exposed(check, prometheus):
    """With the first step and criterion that ask it, and what Prometheus said."""
    url, _, refused = prometheus
    refused["messages"] = (400, 'unknown function with name "info"')
    with pytest.raises(PreflightFailed) as caught:
        check(asking(WHOLE), url)
    assert caught.value.problem == (
        'prometheus: shadow, errors: unknown function with name "info",'
        " so change the query or Prometheus"
    )


def test_many_refused_queries_are_counted(check, prometheus):
    """Five of eight in words."""
    url, _, refused = prometheus
    refused.update({f"q{index}": (400, "no") for index in range(8)})
    with pytest.raises(PreflightFailed) as caught:
        check(asking(*(Criterion(name=f"c{i}", query=f"q{i}") for i in range(8))), url)
    assert caught.value.problem.count("so change the query") == 5
    assert caught.value.problem.endswith("; prometheus: 3 more queries are refused")


@pytest.mark.parametrize("status", [422, 500, 503])
def test_what_depends_on_data_and_load_is_left_to_the_gate(check, prometheus, status):
    """Too slow, too much, too many matches: that may be otherwise when the gate asks."""
    url, _, refused = prometheus
    refused["errors"] = (status, "no")
    assert "prometheus" in check(asking(WHOLE), url)


@pytest.mark.parametrize("mode", [0o600, 0o440, 0o640], ids=oct)
def test_the_key_may_be_of_a_group(check, prometheus, tmp_path, mode):
    """0440 is what a pod that is not root is given of a Secret, and it can change nothing there."""
    (tmp_path / "api_key.json").touch()
    (tmp_path / "api_key.json").chmod(mode)
    assert "credentials" in check(asking(WHOLE), prometheus[0])


def test_a_key_that_everybody_can_read_is_refused(check, prometheus, tmp_path):
    """And told how to mend it."""
    (tmp_path / "api_key.json").touch()
    (tmp_path / "api_key.json").chmod(0o644)
    with pytest.raises(PreflightFailed, match=r"everybody can read it, chmod o-rwx"):
        check(asking(WHOLE), prometheus[0])


@pytest.fixture
def guard():
    """Answers as the guard does, with what is in `said`."""
    said = {"alive": True, "watching": False, "reverting": False, "journal_silent_seconds": 0.0}

    def answer(request):
        send(request, (200 if said["alive"] else 503, {}, json.dumps(said).encode()))

    with http_server(answer) as url:
        yield url, said


@pytest.mark.parametrize(
    ("says", "problem"),
    [
        ({"alive": False}, "does not guard the fleet"),
        ({"journal_silent_seconds": 31.0}, "has not been able to read the journal for 31 s"),
        ({"journal_silent_seconds": "?"}, "is no guard"),
    ],
)
def test_a_guard_that_sees_no_migration_lets_none_begin(check, prometheus, guard, says, problem):
    """It would go by what it knew before, and watch nothing of the new one."""
    url, said = guard
    assert "guard" in check(asking(WHOLE), prometheus[0], guard_url=url)
    said.update(says)
    with pytest.raises(PreflightFailed) as caught:
        check(asking(WHOLE), prometheus[0], guard_url=url)
    assert caught.value.problem.startswith(f"guard: {url} {problem}")


def test_a_guard_that_missed_one_look_at_the_journal_is_none_that_is_blind(
    check, prometheus, guard
):
    """A lock that somebody held for a moment."""
    url, said = guard
    said["journal_silent_seconds"] = 1.5
    assert "guard" in check(asking(WHOLE), prometheus[0], guard_url=url)


def test_a_prometheus_that_is_away_is_told_once(check):
    """Not once per query."""
    with pytest.raises(PreflightFailed) as caught:
        check(asking(WHOLE), url := f"http://127.0.0.1:{free_port()}")
    assert caught.value.problem.startswith(f"prometheus: {url} is not ready (")
    assert "; " not in caught.value.problem
