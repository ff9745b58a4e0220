"""deployment.yaml is edited while a migration runs: what goes forward refuses, and by what words."""

import pytest
import yaml

from feed_migration.deployment import load_deployment
from feed_migration.errors import FleetChanged
from feed_migration.fleet import known as known_fleet
from feed_migration.guard.known_way_back import open_known
from feed_migration.journal.refusals import refusal_in
from feed_migration.journal.store import Journal

NAMES = ("feed-00", "feed-01", "feed-02")


def deployment(home, names=NAMES, shadows=("shadow-00",), **fleet):
    """The deployment of `home` after its file has come to name these."""

    def entries(ids):
        return [{"id": name, "url": f"http://127.0.0.1:9/{name}"} for name in ids]

    document = {
        "prometheus_url": "http://127.0.0.1:9",
        "fleet": fleet,
        "instances": entries(names),
        "shadow_instances": entries(shadows),
    }
    (home / "deployment.yaml").write_text(yaml.safe_dump(document))
    return load_deployment(home, {})


def pods(home, size, **settings):
    name = settings.get("stateful_set", "backpack-feed")
    return deployment(
        home,
        [f"{name}-{place}" for place in range(size)],
        (),
        kind="kubernetes",
        kubernetes=settings,
    )


def test_a_migration_begins_with_its_fleet_in_the_journal(tmp_path):
    """Told back as it was told; nothing of this machine's folders is in it."""
    made = known_fleet.record(deployment(tmp_path))
    journal = Journal(tmp_path / "journal.db")
    migration_id = journal.begin_migration("p", "a" * 64, "ana", fleet=made)
    assert journal.state(migration_id).fleet == made
    assert made["instances"][0] == {
        "id": "feed-00",
        "url": "http://127.0.0.1:9/feed-00",
        "config": "fleet/feed-00.yaml",
    }
    assert str(tmp_path) not in str(made)


def test_the_same_instances_go_on(tmp_path):
    """Another address of Prometheus, another shadow or another deadline are no other fleet."""
    made = known_fleet.record(deployment(tmp_path))
    edited = deployment(tmp_path, shadows=("shadow-01",), ready_deadline_seconds=7)
    known_fleet.require_same(edited, made, "mig-1")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("feed-a0", "feed-01", "feed-02"), "feed-00 missing, feed-a0 new"),
        (("feed-01", "feed-02"), "feed-00 missing"),
        ((*NAMES, "feed-03"), "feed-03 new"),
        (("feed-02", "feed-01", "feed-00"), "the instances are in another order"),
    ],
)
def test_other_instances_are_refused_with_what_differs(tmp_path, names, words):
    """The share of a step is of the first so many: renamed, lost, new and moved ones all count."""
    made = known_fleet.record(deployment(tmp_path))
    with pytest.raises(FleetChanged, match=f"mig-1 began with: {words}: restore") as refused:
        known_fleet.require_same(deployment(tmp_path, names), made, "mig-1")
    assert refusal_in(refused.value) is refused.value


@pytest.mark.parametrize(
    ("size", "settings", "words"),
    [
        (2, {}, "backpack-feed-2 missing"),
        (3, {"stateful_set": "new"}, "was StatefulSet backpack/backpack-feed and is .*/new"),
        (3, {"namespace": "other"}, "and is StatefulSet other/backpack-feed"),
    ],
)
def test_another_stateful_set_is_refused(tmp_path, size, settings, words):
    """Fewer pods, another name, another namespace with pods of the same names."""
    made = known_fleet.record(pods(tmp_path, 3))
    with pytest.raises(FleetChanged, match=words):
        known_fleet.require_same(pods(tmp_path, size, **settings), made, "mig-1")


def test_a_gate_expects_the_series_of_the_fleet_that_was_begun_with(tmp_path):
    """One that the file has lost must not go unwatched."""
    made = known_fleet.record(deployment(tmp_path))
    edited = deployment(tmp_path, NAMES[1:], ())
    assert known_fleet.sizes(edited, made) == (3, 1)
    assert known_fleet.sizes(edited, {}) == (2, 0)


@pytest.mark.parametrize(
    "made", [{}, {"instances": "many"}, {"instances": [{"id": "../x", "url": "http://h"}, None]}]
)
def test_a_record_that_means_nothing_is_none(tmp_path, made):
    """Of an older version, or written by hand: a name that is no name becomes no file either."""
    now = deployment(tmp_path)
    known_fleet.require_same(now, made, "mig-1")
    assert open_known(now, made, lambda opened: opened) is now
