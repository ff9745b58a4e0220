"""A disk that is really full: torn lines, refused promotions, and nothing confirmed is lost."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    """What happened on a tmpfs of 64 KiB, in a mount namespace of its own."""
    home = tmp_path_factory.mktemp("home")
    disk = tmp_path_factory.mktemp("disk")
    path = f"{REPOSITORY / 'plugins'}:{REPOSITORY}"
    result = subprocess.run(
        ["unshare", "-rm", sys.executable, "-m", "tests.journal.full_disk", str(disk), str(home)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        cwd=REPOSITORY,
        check=False,
        timeout=50,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(result.stdout)


def test_the_spool_holds_whole_lines_to_the_last_byte_of_its_reserve(facts):
    """What grew the file comes out of it, in order; no half line stays behind."""
    spool = facts["spool"]
    assert spool["absorbed"] == list(range(spool["kept"]))
    assert 100 < spool["kept"] < 400
    assert (spool["rejected"], spool["reserve_left"]) == (False, False)


def test_anchors_on_a_full_disk_stop_what_goes_forward_and_nothing_else(facts):
    """The line that did not fit is not there by half; a promotion names the file and the remedy."""
    anchors = facts["anchors"]
    assert (
        "anchors.jsonl: the audit's heads cannot be anchored: free the disk" in anchors["refused"]
    )
    assert anchors["whole"]
    assert anchors["count"] == anchors["back"]


def test_the_next_start_with_room_repairs_the_anchors(facts):
    """The torn line is cut, and what is missing comes from the database."""
    anchors = facts["anchors"]
    assert (anchors["ok"], anchors["anchored"]) == (True, True)
    assert anchors["promoted"] == anchors["back"] + 1


def test_a_database_on_a_full_disk_keeps_every_confirmed_event(facts):
    """One clear error, and the next start goes on behind the last confirmed event."""
    database = facts["database"]
    assert database["confirmed"] > 20
    assert "full" in database["error"]
    assert "free the disk" in database["error"]
    assert (database["ok"], database["count"]) == (True, database["confirmed"])
    assert database["next"] == database["confirmed"] + 1
