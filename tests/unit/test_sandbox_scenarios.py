"""Scenario files: what is one, and the one line that says what is wrong with the others."""

from pathlib import Path

import pytest

from backpack_sandbox.errors import SandboxError
from backpack_sandbox.faults.names import FaultName
from backpack_sandbox.faults.scenario import find_scenario, read_scenario, scenario_names

DOCS = Path(__file__).resolve().parents[2] / "docs" / "sandbox" / "scenarios.md"
GOOD = """\
name: small
story: A line that breaks once.
steps:
  - {at: 1, fault: gap, duration_seconds: 2}
  - at: 2
    nasty: depth_gap
  - {at: 3, market: pace, pace: 2}
expect:
  within_seconds: 5
"""


def test_a_scenario_is_a_story_steps_and_an_end():
    """It lasts until its last fault is over."""
    scenario = read_scenario(GOOD, "good.yaml")
    assert scenario.covers == ["gap", "depth_gap", "market pace"]
    assert scenario.seconds == 3
    assert scenario.expect.books == "equal"
    assert scenario.expect.trades_missing == 0


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("fault: gap", "fault: gup", "good.yaml:4: steps[0]: unknown fault 'gup': choose one of"),
        (
            "duration_seconds: 2",
            "duration_seconds: x",
            "good.yaml:4: steps[0].duration_seconds: gap: Exp",
        ),
        ("duration_seconds: 2", "delay_ms: 2", "good.yaml:4: steps[0]: gap has no delay_ms, only"),
        ("nasty: depth_gap", "nasty: soup", "good.yaml:5: steps[1]: unknown nasty input 'soup'"),
        ("nasty: depth_gap", "wait: 1", "good.yaml:5: steps[1]: must have one of fault, nasty"),
        ("at: 2", "at: -2", "good.yaml:5: steps[1].at: must be seconds from the start, was -2"),
        ("at: 2", "at: 0.5", "good.yaml:5: steps[1].at: is before the step above"),
        ("pace: 2", "pace: 0", "good.yaml:7: steps[2]: pace was 0, must be above 0"),
        (", pace: 2", "", "good.yaml:7: steps[2]: `pace` is missing: above 0 and at most 100"),
        ("market: pace", "market: pause", "good.yaml:7: steps[2]: `market: pause` has no pace"),
        (
            "market: pace",
            "market: stop",
            "good.yaml:7: steps[2].market: Invalid enum value 'stop', must be one of pause, resume",
        ),
        ("{at: 1, ", "{", "good.yaml:4: steps[0]: `at` is missing: give seconds from the start"),
        (
            "duration_seconds: 2",
            "symbols: [NOPE_USDC]",
            "good.yaml:4: steps[0]: unknown symbol NOPE_USDC: no profile lists it",
        ),
        ("within_seconds: 5", "within_seconds: 0", "good.yaml:9: expect.within_seconds: was 0, m"),
        (
            "within_seconds: 5",
            "{within_seconds: 5, books: some}",
            "good.yaml:9: expect.books: Invalid enum value 'some', must be one of equal, any",
        ),
        (
            "within_seconds: 5",
            "{within_seconds: 5, must_count: [gap]}",
            "good.yaml:9: expect.must_count[0]: Invalid enum value 'gap', must be one of reconnects",
        ),
        ("within_seconds: 5", "within_seconds: soon", "good.yaml:9: expect.within_seconds: Exp"),
        (
            "within_seconds: 5",
            "within: 5",
            "good.yaml:8: expect: Object contains unknown field `within`",
        ),
        (
            "story: A",
            "stories: A",
            "good.yaml:1: scenario: Object contains unknown field `stories`",
        ),
        ("name: small", "name: [", "good.yaml:3: expected"),
        ("story:", "name:", "good.yaml:2: name: is there twice"),
        (GOOD, "", "good.yaml:1: scenario: Expected `object`, got `null`"),
    ],
)
def test_what_is_wrong_is_told_with_file_line_and_key(before, after, says):
    """One line each."""
    with pytest.raises(SandboxError) as refused:
        read_scenario(GOOD.replace(before, after, 1), "good.yaml")
    assert str(refused.value).startswith(says)
    assert "\n" not in str(refused.value)


def test_a_file_of_ones_own_is_found_by_its_path(tmp_path):
    """And a name that is none gets the list of names."""
    file = tmp_path / "mine.yaml"
    file.write_text(GOOD)
    assert find_scenario(str(file)).name == "small"
    with pytest.raises(SandboxError, match=r"no\.yaml: cannot be read: No such file or directory$"):
        find_scenario(str(tmp_path / "no.yaml"))
    with pytest.raises(SandboxError, match="unknown scenario 'nope': choose one of cdn_outage, "):
        find_scenario("nope")


def test_the_library_covers_every_fault():
    """Each scenario is named as its file, and tells a story."""
    names = scenario_names()
    assert len(names) >= 15
    scenarios = [find_scenario(name) for name in names]
    assert [scenario.name for scenario in scenarios] == names
    assert all(len(scenario.story) > 80 for scenario in scenarios)
    covered = {each for scenario in scenarios for each in scenario.covers}
    assert set(FaultName) <= covered


def test_the_docs_tell_every_story():
    """Word for word."""
    rows = DOCS.read_text().splitlines()
    for name in scenario_names():
        row = next(line for line in rows if line.startswith(f"| `{name}` |"))
        assert " ".join(find_scenario(name).story.split()) in row
