"""What `make chaos` writes down, and how it ends."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.chaos import __main__ as command
from tests.chaos.part import Found, Part
from tests.chaos.summary import merge


def test_a_part_replaces_its_own_fields_and_keeps_the_others(tmp_path):
    """Run alone and again, a part leaves what the others found."""
    merge(tmp_path, {"cycles": 20, "trades_lost": 0})
    merge(tmp_path, {"boundaries": 300})
    assert merge(tmp_path, {"cycles": 200, "trades_lost": 1}) == {
        "boundaries": 300,
        "cycles": 200,
        "trades_lost": 1,
    }


def test_parts_that_end_at_the_same_time_lose_nothing(tmp_path):
    """Sixteen at once, each with a field of its own."""
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: merge(tmp_path, {f"part-{number:02}": number}), range(16)))
    assert len(json.loads((tmp_path / "summary.json").read_text())) == 16


@pytest.mark.parametrize(("wrong", "code"), [([], 0), (["nobody was struck"], 1)])
def test_the_command_ends_with_one_where_a_promise_is_broken(
    tmp_path, monkeypatch, capsys, wrong, code
):
    """What was found is written in either case; the seed is said, and what is wrong."""
    parts = {"one": Part(lambda asked: Found({"seen": asked.seed}, wrong), 3, "nothing")}
    monkeypatch.setattr(command, "PARTS", parts)
    assert command.main(["one", "--seed", "5", "--folder", str(tmp_path)]) == code
    assert json.loads((tmp_path / "summary.json").read_text()) == {"seen": 5}
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
    assert json.loads((tmp_path / "summary.json").read_text()) == {"two": 2}
    assert "WRONG: it broke off: RuntimeError: no venue\n" in capsys.readouterr().out
