"""What `make chaos` writes down, and how it ends."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.chaos import __main__ as command
from tests.chaos.part import Found, Part
from tests.chaos.summary import merge


def test_a_part_replaces_its_own_fields_and_keeps_the_others(tmp_path):
    """Run alone and again, a part leaves what the others found."""
    merge(tmp_path, "cycles", {"cycles": 20, "trades_lost": 0}, {"kept": True})
    merge(tmp_path, "boundaries", {"boundaries": 300}, {"kept": True})
    assert merge(tmp_path, "cycles", {"cycles": 200, "trades_lost": 1}, {"kept": False}) == {
        "boundaries": 300,
        "cycles": 200,
        "trades_lost": 1,
        "parts": {
            "boundaries": {"kept": True, "fields": ["boundaries"]},
            "cycles": {"kept": False, "fields": ["cycles", "trades_lost"]},
        },
    }


def test_parts_that_end_at_the_same_time_lose_nothing(tmp_path):
    """Sixteen at once, each with a field of its own."""
    with ThreadPoolExecutor(16) as pool:
        list(
            pool.map(lambda n: merge(tmp_path, f"part-{n:02}", {f"found-{n:02}": n}, {}), range(16))
        )
    said = json.loads((tmp_path / "summary.json").read_text())
    assert (len(said), len(said["parts"])) == (17, 16)


@pytest.mark.parametrize(("wrong", "code"), [([], 0), (["nobody was struck"], 1)])
def test_the_command_ends_with_one_where_a_promise_is_broken(
    tmp_path, monkeypatch, capsys, wrong, code
):
    """What was found is written in either case; the seed is said, and what is wrong."""
    parts = {"one": Part(lambda asked: Found({"seen": asked.seed}, wrong), 3, "nothing")}
    monkeypatch.setattr(command, "PARTS", parts)
    assert command.main(["one", "--seed", "5", "--folder", str(tmp_path)]) == code
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["seen"] == 5
    how = summary["parts"]["one"]
    assert (how["seed"], how["count"], how["kept"]) == (5, 3, not wrong)
    said = capsys.readouterr().out
    assert "PART=one SEED=5" in said
    assert f"one: {'BROKEN' if wrong else 'kept'}" in said
    assert all(f"WRONG: {what}\n" in said for what in wrong)


def test_a_part_that_breaks_does_not_keep_the_others_from_running(tmp_path, monkeypatch, capsys):
    """All parts in order, exit code 1, and the reason in a sentence."""

    def broken(_asked):
        raise RuntimeError("no venue")

    parts = {"one": Part(broken, 1, ""), "two": Part(lambda _: Found({"two": 2}), 1, "")}
    monkeypatch.setattr(command, "PARTS", parts)
    assert command.main(["all", "--folder", str(tmp_path)]) == 1
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert [name for name in summary if name != "parts"] == ["two"]
    assert {name: how["kept"] for name, how in summary["parts"].items()} == {
        "one": False,
        "two": True,
    }
    assert "WRONG: it broke off: RuntimeError: no venue\n" in capsys.readouterr().out


def test_a_part_that_breaks_off_leaves_no_figures_of_a_better_day(tmp_path, monkeypatch):
    """A zero of last week beside today's failure would be read as today's."""
    found = [Found({"trades_lost": 0, "cycles": 20})]

    def attack(_asked):
        return found.pop()

    monkeypatch.setattr(command, "PARTS", {"cycles": Part(attack, 1, "")})
    assert command.main(["cycles", "--folder", str(tmp_path)]) == 0
    assert command.main(["cycles", "--folder", str(tmp_path)]) == 1
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert [*summary] == ["parts"]
    assert summary["parts"]["cycles"]["kept"] is False
