"""What the wheel declares: complete, and in agreement with the lock."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
BASE = [Requirement(text) for text in PROJECT["dependencies"]]
EXTRAS = {
    extra: [Requirement(text) for text in texts]
    for extra, texts in PROJECT["optional-dependencies"].items()
}
OWN = {"backpack_feed", "feed_migration", "backpack_sandbox", "tools"}
PARTS_OF_AIRFLOW = "apache-airflow-"
DISTRIBUTIONS = packages_distributions()


def imported(folder: Path) -> dict[str, str]:
    """Distribution → one file that imports it, also inside functions."""
    found = {}
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in {name.partition(".")[0] for name in names}:
                if name not in sys.stdlib_module_names and name not in OWN:
                    for distribution in DISTRIBUTIONS[name]:
                        found[canonicalize_name(distribution)] = path.name
    return found


@pytest.mark.parametrize(
    ("folder", "extras", "optional"),
    [
        ("plugins/backpack_feed", ["ccxt"], {"plugin.py"}),
        ("backpack_sandbox", ["sandbox"], set()),
        ("plugins/feed_migration", ["migration"], set()),
    ],
)
def test_every_import_of_a_package_is_declared(folder, extras, optional):
    """Not only brought along by something else; Airflow's own plugin module is Airflow's."""
    wanted = BASE + [requirement for extra in extras for requirement in EXTRAS[extra]]
    declared = {canonicalize_name(requirement.name) for requirement in wanted}
    missing = {
        name: file
        for name, file in imported(REPOSITORY / folder).items()
        if name not in declared
        and file not in optional
        and not (name.startswith(PARTS_OF_AIRFLOW) and "apache-airflow" in declared)
    }
    assert missing == {}


def test_every_range_admits_the_version_that_the_tests_run_with():
    """The lock is one choice among those that the ranges allow."""
    pins = re.findall(
        r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(\S+)",
        (REPOSITORY / "requirements.txt").read_text(),
        re.MULTILINE,
    )
    locked = {canonicalize_name(name): version for name, version in pins}
    requirements = BASE + [requirement for extra in EXTRAS.values() for requirement in extra]
    for requirement in requirements:
        assert requirement.specifier, f"{requirement}: no range"
        assert requirement.specifier.contains(locked[canonicalize_name(requirement.name)])
