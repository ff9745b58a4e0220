"""Small slices of what `make judge` and `make mutation` show in full."""

import json
from pathlib import Path

import pytest

from feed_migration.model import Decision
from tests.judge.__main__ import main
from tests.judge.confusion import CASES, markdown, matrix
from tests.judge.forged import forged
from tests.judge.oracles import RULES
from tests.judge.restarts import restarts
from tests.judge.same_feed import same_feed
from tests.mutation.mutants import mutants

DOCS = Path(__file__).parents[2] / "docs" / "gates.md"


@pytest.mark.parametrize("seed", [1, 2])
def test_forged_answers_never_promote(seed):
    """300 forgeries over HTTP through the client that runs in production."""
    found = forged(300, seed)
    assert found["forged_answers"] >= 300
    assert found["forged_promotes"] == 0


def test_same_feed_on_both_sides_does_not_roll_back():
    """Eight half hours of calm and noisy feeds, and nearly all of them promote."""
    found = same_feed(8, seed=5)
    assert found["aa_false_rollbacks"] == 0
    assert found["aa_decisions"]["Promote"] >= 6


@pytest.mark.timeout(180)
def test_judge_that_is_killed_at_every_tick_ends_as_if_it_never_was():
    """SIGKILL at every tick and second sample, over the real journal."""
    found = restarts(1, seed=3)
    assert found["kills"] == 82
    assert found["kill_other_verdicts"] == 0


@pytest.mark.parametrize("case", CASES)
def test_our_judge_is_right(case):
    """In every case of the table."""
    right, trace = CASES[case]
    assert RULES["ours"](trace) is right


def test_table_of_the_docs_is_what_the_rules_decide():
    """docs/gates.md shows no other matrix than this code makes."""
    assert markdown() in DOCS.read_text()


def test_oracles_can_be_right():
    """Each of them promotes what is well and rolls back what is slow from the first tick."""
    found = matrix()
    assert set(found["all well"].values()) == {Decision.PROMOTE}
    assert set(found["slow from the first tick"].values()) == {Decision.ROLLBACK}


def test_command_prints_json_and_fails_on_a_broken_promise(capsys, monkeypatch):
    """Exit code 1 if one forged answer promotes."""
    broken = {"forged_answers": 1, "forged_promotes": 1, "honest_promotes": True}
    monkeypatch.setattr("tests.judge.forged.forged", lambda count, seed: broken)
    assert main(["forged", "--count", "1"]) == 1
    wrong = ["1 gates over forgeries promoted"]
    assert json.loads(capsys.readouterr().out) == {**broken, "kept": False, "wrong": wrong}


def test_mutants_differ_from_the_module_and_from_each_other():
    """One change each, in the order of the lines; texts and annotations stay."""
    source = (
        "def f(a: int = 1) -> bool:\n"
        "    if a < 2 and not a:\n"
        "        return True\n"
        "    return f'{a + 1}' in [a + 3]\n"
    )
    found = list(mutants(source))
    assert [one.line for one in found] == sorted(one.line for one in found)
    assert len({one.source for one in found}) == len(found)
    assert {one.change for one in found} >= {
        "'1' -> '2'",
        "'a < 2' -> 'a <= 2'",
        "'True' -> 'False'",
        "'a + 3' -> 'a - 3'",
    }
