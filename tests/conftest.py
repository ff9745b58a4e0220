"""Tests may run on several workers; who measures the machine has it to itself."""

import math
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support.machine import Machine

# four workers share two cores: how long one example takes says nothing of the code
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")

FOLDER = pytest.StashKey[str]()
MACHINE = pytest.StashKey[Machine]()


def pytest_configure(config: pytest.Config) -> None:
    """One folder of locks per run: made by the process that the workers belong to."""
    folder = getattr(config, "workerinput", {}).get("machine")
    if folder is None:
        directory = TemporaryDirectory(prefix="backpack-tests-")
        config.add_cleanup(directory.cleanup)
        folder = directory.name
    config.stash[FOLDER] = folder
    config.stash[MACHINE] = machine = Machine(Path(folder))
    config.add_cleanup(machine.close)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker where the locks are."""
    node.workerinput["machine"] = node.config.stash[FOLDER]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files whose tests may take long begin first, or the end waits for them; those alone last."""
    turns: dict[Path, float] = {}
    for item in items:
        limit = item.get_closest_marker("timeout")
        turn = -float(limit.args[0]) if limit else 0.0
        if item.get_closest_marker("alone"):
            turn = math.inf
        before = turns.get(item.path, turn)
        turns[item.path] = math.inf if math.inf in (turn, before) else min(turn, before)
    items.sort(key=lambda item: turns[item.path])


# first, so that the limit of a test's time does not count the waiting
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Run a test marked `alone` when no other test runs, the others beside each other."""
    machine = item.config.stash[MACHINE]
    alone = item.get_closest_marker("alone") is not None
    with machine.alone() if alone else machine.beside_others():
        return (yield)
