"""Recording and alerting rules: what promtool says of them, and that each alert can be acted on."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from promql_parser import parse

from tests.support.markdown_tables import anchors, broken_links, tables, ticked

REPOSITORY = Path(__file__).parents[2]
PROMETHEUS = REPOSITORY / "deploy" / "prometheus"
RULES = sorted((PROMETHEUS / "rules").glob("*.yaml"))
TESTS = sorted((PROMETHEUS / "tests").glob("*.yaml"))
PAGE = REPOSITORY / "docs" / "metrics" / "alerts.md"
SEVERITIES = {"critical", "warning", "info"}


def promtool(*arguments):
    assert shutil.which("promtool"), "promtool is missing: run tools/setup.sh"
    found = subprocess.run(
        ["promtool", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    return found.returncode, found.stdout + found.stderr


def rules(kind):
    return [
        rule
        for path in RULES
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
        if kind in rule
    ]


ALERTS = {rule["alert"] for rule in rules("alert")}


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_promtool_accepts_the_rules(path):
    """With its lints: no rule is there twice."""
    code, said = promtool("check", "rules", "--lint=all", "--lint-fatal", path)
    assert code == 0, said


def test_promtool_accepts_the_configuration():
    """The file that docker-compose.yaml mounts, with the rules that it names."""
    code, said = promtool("check", "config", PROMETHEUS / "prometheus.yaml")
    assert code == 0, said
    assert said.count("rules found") == len(RULES), said


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_rules_do_what_their_tests_say(path):
    """`promtool test rules`: series go in, recorded series and alerts come out."""
    code, said = promtool("test", "rules", path)
    assert code == 0, said


@pytest.mark.parametrize("fires", [True, False], ids=["firing", "quiet"])
def test_every_alert_is_tested(fires):
    """In a case in which it fires, and in one in which it comes near and does not."""
    tested = {
        case["alertname"]
        for path in TESTS
        for test in yaml.safe_load(path.read_text())["tests"]
        for case in test.get("alert_rule_test", ())
        if bool(case.get("exp_alerts")) is fires
    }
    assert tested == ALERTS


@pytest.mark.parametrize("rule", rules("alert"), ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_why_and_what_to_do(rule):
    """Severity, a summary that begins with the reason, a section of the page of alerts."""
    assert rule["labels"]["severity"] in SEVERITIES
    assert not rule["annotations"]["summary"].startswith(("{{", rule["alert"]))
    page, _, section = rule["annotations"]["runbook_url"].partition("#")
    assert REPOSITORY / page == PAGE
    assert section == rule["alert"].lower()
    assert section in anchors(PAGE.read_text())


def test_the_page_has_no_alert_that_is_no_more():
    """And tells each one's severity."""
    text = PAGE.read_text()
    headings = {line[4:] for line in text.splitlines() if line.startswith("### ")}
    assert headings == ALERTS
    for rule in rules("alert"):
        section = text.split(f"### {rule['alert']}\n")[1].split("\n#")[0]
        told = section.strip().split("**")[1].lower()
        assert rule["labels"]["severity"] in told
        assert "\nDo: " in section


def test_recorded_series_are_those_of_the_page():
    """Names both ways; labels as the expression groups by, which the live test sees."""
    told = tables((REPOSITORY / "docs" / "metrics.md").read_text())["Recorded series"]
    assert {ticked(row["Series"])[0] for row in told} == {
        rule["record"] for rule in rules("record")
    }
    for rule in rules("record"):
        parse(rule["expr"])


@pytest.mark.parametrize(
    "page", ["metrics.md", "plan.md", "metrics/alerts.md", "metrics/parity.md"], ids=str
)
def test_links_of_the_pages_lead_somewhere(page):
    """Files, and sections of them."""
    assert broken_links(REPOSITORY / "docs" / page) == []
