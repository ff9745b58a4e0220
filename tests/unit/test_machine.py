"""Who needs the machine alone gets it, beside whatever other workers do."""

import fcntl
import os
import re
import subprocess
import sys
from pathlib import Path
from subprocess import CompletedProcess
from threading import Thread

import pytest

from tests.support.conditions import eventually_sync
from tests.support.machine import Machine

REPOSITORY = Path(__file__).resolve().parents[2]
DEADLINE_SECONDS = 100
SETTINGS = f"""
[pytest]
pythonpath = {REPOSITORY}
markers = alone
"""
CONFTEST = "from tests.conftest import *"
FIRST = """
import time
from pathlib import Path

from tests.conftest import FOLDER
from tests.support.conditions import eventually_sync
from tests.unit.test_machine import somebody_waits

LOG = Path(__file__).with_name("log")


def test_beside(request):
    LOG.write_text("beside began\\n")
    eventually_sync(lambda: somebody_waits(Path(request.config.stash[FOLDER])))
    began = time.monotonic()
    eventually_sync(lambda: time.monotonic() - began > 2.5)
    with LOG.open("a") as log:
        log.write("beside ended\\n")
"""
SECOND = """
from pathlib import Path

import pytest

from tests.support.conditions import eventually_sync

LOG = Path(__file__).with_name("log")


def test_the_other_worker_is_busy():
    eventually_sync(LOG.exists)


@pytest.mark.alone
@pytest.mark.timeout(2)
def test_alone():
    with LOG.open("a") as log:
        log.write("alone\\n")
"""

# as a call into C that goes on whatever the signals, or a callback that swallows every exception
STUCK = """
import signal
import threading

import pytest


@pytest.mark.timeout(1)
def test_stuck():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    threading.Event().wait()
"""


def somebody_waits(folder: Path) -> bool:
    """Whether the entrance is held, as it is by who waits to be alone."""
    with (folder / "entrance").open() as entrance:
        try:
            fcntl.flock(entrance, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def run_pytest(folder: Path, files: dict[str, str], *options: str) -> CompletedProcess[str]:
    """Of its own over `files`, with our conftest and no plugin but those of the options."""
    for name, text in {"pytest.ini": SETTINGS, "conftest.py": CONFTEST, **files}.items():
        (folder / name).write_text(text)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "timeout", *options],
        cwd=folder,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_SECONDS,
    )


def test_tests_run_beside_each_other(tmp_path):
    """Two of them are inside at the same time."""
    one, other = Machine(tmp_path), Machine(tmp_path)
    with one.beside_others(), other.beside_others():
        pass
    for machine in (one, other):
        machine.close()


def test_who_waits_to_be_alone_comes_after_those_inside_and_before_the_next(tmp_path):
    """Nobody is inside with it, and it is not kept out by new ones."""
    machines = inside, alone, late = [Machine(tmp_path) for _ in range(3)]
    came = []

    def enter(name, room):
        with room:
            came.append(name)

    with inside.beside_others():
        waiting = Thread(target=enter, args=("alone", alone.alone()))
        waiting.start()
        eventually_sync(lambda: somebody_waits(tmp_path))
        next_one = Thread(target=enter, args=("late", late.beside_others()))
        next_one.start()
        came.append("inside")
    for thread in (waiting, next_one):
        thread.join(10)
    assert came == ["inside", "alone", "late"]
    for machine in machines:
        machine.close()


@pytest.mark.timeout(DEADLINE_SECONDS + 10)
def test_a_marked_test_waits_for_the_other_worker_and_the_waiting_is_not_its_time(tmp_path):
    """Its own limit begins when it is alone; one summary counts the tests of all workers."""
    done = run_pytest(
        tmp_path,
        {"test_first.py": FIRST, "test_second.py": SECOND},
        *("-p", "xdist", "-n", "2", "--dist=loadfile"),
    )
    assert done.returncode == 0, done.stdout
    log = (tmp_path / "log").read_text()
    assert log.splitlines() == ["beside began", "beside ended", "alone"]
    assert "3 passed" in done.stdout.splitlines()[-1]


@pytest.mark.timeout(DEADLINE_SECONDS + 10)
def test_files_of_long_tests_come_first_and_of_those_alone_last(tmp_path):
    """A long one at the end would be waited for, and one alone holds up whoever is there."""
    marks = {
        "test_a.py": "alone",
        "test_b.py": "timeout(70)",
        "test_c.py": "timeout(300)",
        "test_d.py": "filterwarnings('error')",
    }
    text = "import pytest\n\n\ndef test_short():\n    pass\n\n\n@pytest.mark.{}\ndef test(): pass\n"
    files = {name: text.format(mark) for name, mark in marks.items()}
    done = run_pytest(tmp_path, files, "--collect-only", "-q")
    assert done.returncode == 0, done.stdout
    listed = [line.split("::")[0] for line in done.stdout.splitlines() if "::" in line]
    assert listed[::2] == listed[1::2] == ["test_c.py", "test_b.py", "test_d.py", "test_a.py"]


@pytest.mark.timeout(DEADLINE_SECONDS + 10)
def test_a_test_that_no_limit_ends_ends_the_run_and_is_named(tmp_path):
    """Else who waits to be alone would wait for it as long as the machine runs."""
    lines = (REPOSITORY / "pyproject.toml").read_text().splitlines()
    exits = next(line for line in lines if line.startswith("faulthandler_exit_on_timeout"))
    makefile = (REPOSITORY / "Makefile").read_text()
    # a worker in its place would begin with the same test
    restarts = re.search(r"--max-worker-restart \d+", makefile)
    alone = "import pytest\n\n\n@pytest.mark.alone\ndef test_alone(): pass\n"
    done = run_pytest(
        tmp_path,
        {"test_first.py": STUCK, "test_second.py": alone},
        *("-p", "xdist", "-n", "2", "--dist=loadfile", *restarts[0].split()),
        *("-o", "faulthandler_timeout=4", "-o", exits.replace(" ", "")),
    )
    assert "crashed while running 'test_first.py::test_stuck'" in done.stdout
    assert "1 failed" in done.stdout.splitlines()[-1], done.stdout
    assert "test_first.py" in done.stderr, "where it was stuck"
