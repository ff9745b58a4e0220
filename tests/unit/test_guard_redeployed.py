"""The guard and deployment.yaml: followed when it is edited, done without when it is broken."""

import os
from shutil import rmtree

import pytest
import yaml

from feed_migration.deployment import FILE_NAME
from feed_migration.errors import DeploymentError
from feed_migration.guard.redeployed import GuardAsDeployed, deployment_or_copy
from feed_migration.journal.store import Journal
from tests.support.guard_stage import STEP, Stage


@pytest.fixture
def stage(tmp_path):
    return Stage(tmp_path)


def edit(stage, **changes):
    path = stage.deployment.home / FILE_NAME
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **changes}))


def test_a_journal_that_was_moved_is_followed(stage):
    """Else a guard that was started months ago watches a journal that nobody writes."""
    guard = GuardAsDeployed(stage.deployment, stage.guard_over)
    guard.poll()
    edit(stage, journal_url="other.db")
    moved = Journal(stage.deployment.home / "other.db", clock=lambda: stage.clock.unix)
    moved.acknowledge_restore("ana", "moved to a new disk")
    stage.moves_to(moved)
    stage.goes_to(STEP)
    guard.poll()
    assert guard.health.exposed == 2


def test_an_edit_behind_a_link_is_followed(stage, tmp_path):
    """Kubernetes mounts a folder and renews it whole: a new one, and `..data` turned to it."""
    path, mount = stage.deployment.home / FILE_NAME, tmp_path / "mounted"
    mount.mkdir()
    original = path.read_text()

    def renew(text, name):
        (mount / name).mkdir()
        (mount / name / FILE_NAME).write_text(text)
        (mount / "..data_tmp").symlink_to(name)
        (mount / "..data_tmp").rename(mount / "..data")

    renew(original, "..2026_10_02_1")
    (mount / FILE_NAME).symlink_to(f"..data/{FILE_NAME}")
    path.unlink()
    path.symlink_to(mount / FILE_NAME)
    begun = []

    def begin(deployment):
        begun.append(deployment)
        return stage.guard_over(deployment)

    guard = GuardAsDeployed(deployment_or_copy(stage.deployment.home), begin)
    guard.poll()
    # as long as it was, and as old: only the file is another
    renew(original.replace("127.0.0.1:9", "127.0.0.1:8"), "..2026_10_02_2")
    before, after = (mount / name / FILE_NAME for name in ("..2026_10_02_1", "..2026_10_02_2"))
    os.utime(after, ns=(before.stat().st_atime_ns, before.stat().st_mtime_ns))
    rmtree(before.parent)
    guard.poll()
    guard.poll()
    assert [one.prometheus_url for one in begun] == ["http://127.0.0.1:9", "http://127.0.0.1:8"]
    copy = stage.deployment.guard_folder / FILE_NAME
    assert copy.read_text() == path.read_text()
    assert not copy.is_symlink()


def test_a_broken_file_changes_nothing(stage, caplog):
    """Half an edit, then a good one; each is told of once."""
    stage.goes_to(STEP)
    guard = GuardAsDeployed(stage.deployment, stage.guard_over)
    (stage.deployment.home / FILE_NAME).write_text("instances: [")
    for _ in range(3):
        guard.poll()
    assert guard.health.exposed == 2
    assert caplog.text.count("keeps the deployment as it was") == 1


def test_a_guard_that_starts_without_it_goes_by_its_copy(stage):
    """Killed while the file is broken, it must not stay away; the copy is as private as the file."""
    path = stage.deployment.home / FILE_NAME
    path.chmod(0o600)
    before = deployment_or_copy(stage.deployment.home)
    for breaks in (lambda: path.write_text("instances: ["), path.unlink):
        breaks()
        assert deployment_or_copy(stage.deployment.home) == before
    assert (stage.deployment.guard_folder / FILE_NAME).stat().st_mode & 0o777 == 0o600


def test_without_file_and_copy_it_says_what_is_missing(tmp_path):
    """As every other command does."""
    with pytest.raises(DeploymentError, match="cannot be read"):
        deployment_or_copy(tmp_path)
