"""A slice of `make chaos PART=boundaries`, and what its checker sees."""

import os

import pytest

from feed_migration.events import EventKind
from tests.chaos.boundaries.course import copied, open_scene, record
from tests.chaos.boundaries.run import run_boundaries
from tests.chaos.boundaries.view import differences, look, not_rolled_back, wrongs

# a kill at each one takes minutes of both cores: `make chaos PART=boundaries`
EVERY = 3


@pytest.mark.timeout(900)
def test_a_kill_at_any_boundary_ends_before_or_after_the_act():
    """Of writes, heads, anchors, fences and flips; the next process leaves nothing half done."""
    outcome = run_boundaries(range(1, 2), os.cpu_count() or 1, report=print, every=EVERY)
    assert [str(one) for one in outcome.illegal] == []
    assert len(outcome.ended) == len(outcome.boundaries[::EVERY]) <= outcome.kills
    acts = {place.partition("/")[0] for place in outcome.boundaries}
    assert {"begin", "cutover-50 advance", "shadow gate", "finish", "rollback of a half"} <= acts
    happens = {place.partition(" ")[2] for place in outcome.boundaries}
    for kind in set(EventKind) - {EventKind.HELD, EventKind.AUDIT_NOTE}:
        assert any(f"{kind} inserted, not committed" in what for what in happens), kind


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    """The step to half of the fleet: its act, and the directory before it."""
    stations = record(tmp_path_factory.mktemp("course"))
    return next(one for one in stations if one.act.name == "cutover-50 advance")


@pytest.fixture
def scene(half, tmp_path):
    return open_scene(copied(half, tmp_path / "home"))


def seen(scene):
    return [*wrongs(scene, scene.fleet.variants())]


def test_a_state_between_acts_is_legal_and_not_the_one_after(half, scene):
    """The checker does not cry wolf, and tells before from after."""
    assert seen(scene) == []
    before = look(scene, scene.fleet.variants())
    assert [text.split()[0] for text in differences(half.after, before)] == ["state", "runs"]
    half.act.do(scene)
    assert seen(scene) == []
    assert [*differences(half.after, look(scene, scene.fleet.variants()))] == []


def test_exposure_that_nobody_intended_is_illegal(scene):
    """An instance on native, and one on neither feed."""
    scene.fleet.set_variant(["feed-03"], "native", epoch=1)
    assert seen(scene) == ["on native, and the journal knows nothing of it: ['feed-03']"]
    scene.fleet.set_variant(["feed-03"], "nat", epoch=1)
    assert any("neither of the feeds" in text for text in seen(scene))


def test_a_fact_written_twice_is_a_difference(half, scene):
    """What a retry must not do, and the chain does not forbid."""
    (verdict,) = scene.journal.events(scene.migration_id, EventKind.VERDICT)[-1:]
    half.act.do(scene)
    who = {"migration_id": scene.migration_id, "actor": "x"}
    scene.journal.append(EventKind.VERDICT, body=verdict.body, **who)
    found = [*differences(half.after, look(scene, scene.fleet.variants()))]
    assert [text.split()[0] for text in found] == ["facts", "verdicts"]


def test_a_fence_below_an_act_and_a_fleet_not_taken_back_are_illegal(half, scene):
    """Epochs only grow, and a rollback ends with ccxt everywhere."""
    half.act.do(scene)
    (scene.home / "fleet" / "epoch").write_text("0\n")
    assert any("the fence is at 0, below acts" in text for text in seen(scene))
    found = [*not_rolled_back(look(scene, scene.fleet.variants()))]
    assert [text.split(":")[0] for text in found] == ["not rolled back", "still runs"]
