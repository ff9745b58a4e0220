"""Instances renamed, dropped, added in deployment.yaml while they are exposed: all come back."""

import json

import pytest
import yaml

from feed_migration import cutover
from feed_migration.cli.app import run
from feed_migration.deployment import FILE_NAME, load_deployment
from feed_migration.fleet import known as known_fleet
from feed_migration.fleet.choice import open_fleet
from feed_migration.fleet.supervisor_conf import conf_path
from feed_migration.fleet.supervisor_rpc import SupervisorRpc
from feed_migration.guard.follower import JournalFollower
from feed_migration.guard.knowledge import Copy, KnowledgeFile
from feed_migration.guard.known_way_back import open_known
from feed_migration.guard.reverting import Reverting
from feed_migration.journal.store import Journal
from feed_migration.phases import Status
from tests.support.conditions import eventually_sync
from tests.support.kubernetes_fleet import cluster_fleet
from tests.support.lost_journal import lose
from tests.support.migration_plans import PLAN, approve, begin, pass_steps
from tests.support.supervised_fleet import supervised_fleet


@pytest.fixture
def half():
    """A real supervised fleet with feed-00 and feed-01 of four on native."""
    with supervised_fleet() as running:
        journal = Journal(running.home / "journal.db")
        expose(running, journal)
        yield running, journal


def expose(running, journal):
    migration_id = begin(journal, fleet=known_fleet.record(running.deployment))
    pass_steps(journal, running.fleet, migration_id, until="cutover-50")
    approve(journal, migration_id, "cutover-50")
    cutover.advance(PLAN.step("cutover-50"), PLAN, running.fleet, journal, migration_id, "ana")


def edit(home, change):
    """Let `change` make another list of instances of the one in deployment.yaml."""
    path = home / FILE_NAME
    document = yaml.safe_load(path.read_text())
    document["instances"] = change(document["instances"])
    path.write_text(yaml.safe_dump(document))


def renamed(entries):
    return [{**entries[0], "id": "feed-a0"}, *entries[1:]]


def dropped(entries):
    return entries[1:]


def added(entries):
    return [{"id": "feed-04", "url": "http://127.0.0.1:9", "config": "fleet/none.yaml"}, *entries]


@pytest.fixture
def take_back(monkeypatch, capsys):
    """`backpack-migrate rollback` on a state directory: its exit code, and what it printed."""

    def command(home):
        monkeypatch.setenv("BACKPACK_HOME", str(home))
        code = run(["rollback", "--json"])
        out, err = capsys.readouterr()
        return code, out + err

    return command


def flags(running):
    """Program → whether its file makes it native at the next start."""
    paths = running.deployment.fleet.include_dir.glob("*.conf")
    return {path.stem: 'NATIVE="true"' in path.read_text() for path in paths}


@pytest.mark.parametrize("change", [renamed, dropped, added])
def test_every_exposed_instance_comes_back_whatever_the_file_says(half, take_back, change):
    """Flag and process of each, as the migration knew it; nothing new is started for it."""
    running, journal = half
    edit(running.home, change)
    code, said = take_back(running.home)
    assert code == 0, said
    names = {"feed-00", "feed-01", "feed-02", "feed-03"}
    assert running.variants() == dict.fromkeys(names, "ccxt")
    assert flags(running) == dict.fromkeys(names, False)
    state = journal.state(journal.latest_migration())
    assert (state.status, state.exposed) == (Status.ROLLED_BACK, ())
    assert set(json.loads(said)["instances"]) == names


def journal_goes_away(running, journal):
    """Let the guard's copy be all that is left; return what it knows."""
    known = JournalFollower(journal).read()
    file = KnowledgeFile(running.deployment.guard_folder / "known.json")
    file.save(Copy(known=known, read_at=1.0))
    lose(running.home / "journal.db")
    return file.load().known


@pytest.mark.parametrize("change", [renamed, dropped])
def test_the_guard_alone_knows_them_from_its_copy(half, change):
    """The database is away and the file edited: the copy has ids, addresses and files."""
    running, journal = half
    known = journal_goes_away(running, journal)
    edit(running.home, change)
    guard = Reverting(load_deployment(running.home, {}), "guard:a", lambda: 1.0, lambda: 1.0)
    assert guard.revert(known, "the lease has expired", None, None)
    guard.close()
    assert set(running.variants().values()) == {"ccxt"}


def test_a_shell_without_the_journal_goes_by_that_copy_too(half, take_back):
    """Nobody else is left to ask."""
    running, journal = half
    journal_goes_away(running, journal)
    edit(running.home, renamed)
    code, said = take_back(running.home)
    assert code == 0, said
    assert set(running.variants().values()) == {"ccxt"}


def test_a_file_that_is_broken_half_way_through_an_edit_does_not_stop_it(half, take_back):
    """The guard's copy of it stands in."""
    running, _ = half
    copy = running.home / "guard" / FILE_NAME
    copy.parent.mkdir()
    copy.write_text((running.home / FILE_NAME).read_text())
    (running.home / FILE_NAME).write_text("instances: [")
    code, said = take_back(running.home)
    assert code == 0, said
    assert set(running.variants().values()) == {"ccxt"}


def test_one_that_was_removed_altogether_is_not_made_anew(half, take_back):
    """Process, file and name are gone: nothing of it runs native, and the proof says so."""
    running, journal = half
    rpc = SupervisorRpc(running.deployment.fleet.socket)
    edit(running.home, dropped)
    conf_path(running.deployment, "feed-00").unlink()
    rpc.reload()
    rpc.stop("feed-00")
    eventually_sync(lambda: rpc.states()["feed-00"] == "STOPPED")
    rpc.remove("feed-00")

    code, said = take_back(running.home)

    assert code == 0, said
    assert "feed-00" not in flags(running)
    assert "feed-00" not in rpc.states()
    assert journal.events(kind="rollback_verified")[-1].body["gone"] == ["feed-00"]


def test_of_a_migration_that_an_older_version_began_it_is_named(half, take_back):
    """Without a record of addresses and files it cannot be proven, so it is not called verified."""
    running, journal = half
    assert take_back(running.home)[0] == 0
    migration_id = begin(journal)
    pass_steps(journal, running.fleet, migration_id, until="cutover-50")
    edit(running.home, renamed)
    code, said = take_back(running.home)
    assert code == 1
    assert "feed-00: was exposed, still is there" in said
    assert "name it in deployment.yaml as when the migration began" in said
    assert journal.state(migration_id).status is Status.ROLLING_BACK


def scaled(document):
    document["instances"].pop()


def moved(document):
    document["fleet"]["kubernetes"]["namespace"] = "elsewhere"


def other_set(document):
    document["fleet"]["kubernetes"]["stateful_set"] = "feed"
    for entry in document["instances"]:
        entry["id"] = entry["id"].replace("backpack-feed", "feed")


@pytest.mark.parametrize("change", [scaled, moved, other_set])
def test_the_pods_of_the_beginning_come_back(tmp_path, change):
    """Replicas, namespace or name of the StatefulSet edited, and the cluster as it was."""
    with cluster_fleet(tmp_path) as running:
        made = known_fleet.record(running.deployment)
        running.fleet.set_variant(running.ids[:2], "native", epoch=1)
        document = yaml.safe_load((tmp_path / FILE_NAME).read_text())
        change(document)
        (tmp_path / FILE_NAME).write_text(yaml.safe_dump(document))
        with running.clock():
            fleet = open_known(load_deployment(tmp_path, {}), made, open_fleet)
            names = [status.id for status in fleet.instances()]
            fleet.set_variant(names, "ccxt", epoch=2, max_unavailable=len(names))
            fleet.wait_ready(names, "ccxt", 30)
        assert sorted(names) == sorted(running.ids)
        assert running.native() == set()


def test_pods_that_were_scaled_away_are_gone(tmp_path):
    """The deployment and the cluster agree: nobody waits for what nobody makes."""
    with cluster_fleet(tmp_path) as running:
        made = known_fleet.record(running.deployment)
        document = yaml.safe_load((tmp_path / FILE_NAME).read_text())
        scaled(document)
        (tmp_path / FILE_NAME).write_text(yaml.safe_dump(document))
        running.cluster.patch_set("backpack-feed", {"spec": {"replicas": 3}}, lambda _: None)
        running.settle()
        fleet = open_known(load_deployment(tmp_path, {}), made, open_fleet)
        assert len(fleet.instances()) == 3
        assert fleet.remaining(["backpack-feed-3", "backpack-feed-0"]) == ("backpack-feed-0",)
        assert fleet.remaining(["unknown-0"]) == ()
