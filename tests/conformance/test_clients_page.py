"""docs/sandbox/clients.md names versions that are installed, and tests that exist."""

import ast
import json
import re
from importlib.metadata import version
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
PAGE = (FOLDER.parents[1] / "docs/sandbox/clients.md").read_text()
FILES = {
    "ccxt": "test_ccxt_*.py",
    "bpx-py": "test_bpx_py*.py",
    "backpack-exchange-sdk": "test_backpack_exchange_sdk*.py",
    "bpx-api-client": "test_bpx_api_client.py",
}
TABLES = re.findall(r"(?:^\|.*\n)+", PAGE, re.MULTILINE)


def rows(first_column):
    """Cells of each row of the table that starts with a column of this name."""
    table = next(text for text in TABLES if text.startswith(f"| {first_column} |"))
    lines = [line.strip("|\n").split(" | ") for line in table.splitlines()]
    return [[cell.strip(" |") for cell in line] for line in lines[2:]]


def claims_of(client):
    return {
        node.name
        for path in FOLDER.glob(FILES[client])
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    }


def named(cell):
    return re.findall(r"`(test_\w+)`", cell)


@pytest.mark.parametrize("what", ["REST", "Stream"])
def test_every_cell_names_tests_of_its_client(what):
    """Or is a dash; each row is covered by somebody."""
    table = rows(what)
    assert len(table) > 10
    for _, *cells in table:
        assert any(named(cell) for cell in cells)
        for client, cell in zip(FILES, cells, strict=True):
            assert cell == "—" or named(cell), (client, cell)
            assert set(named(cell)) <= claims_of(client), client


def test_every_finding_is_listed_and_every_listed_one_has_its_test():
    """Each by its own client."""
    listed = {test for row in rows("Client | What it does") for test in named(row[-1])}
    held = {
        test for client in FILES for test in claims_of(client) if test.startswith("test_finding")
    }
    assert listed == held
    for client, _, test in rows("Client | What it does"):
        for name in client.removesuffix(", Python").removesuffix(", Node").split(", "):
            assert named(test)[0] in claims_of(name)


def test_the_versions_are_those_that_the_tests_run_with():
    """As pip installed them, and as the lock of npm pins them."""
    npm = json.loads((FOLDER / "node/package-lock.json").read_text())["packages"]
    for client, told, source, *_ in rows("Client | Version"):
        name = client.partition(",")[0]
        known = npm[f"node_modules/{name}"]["version"] if source == "npm" else version(name)
        assert told == known, client


def test_the_lock_of_npm_has_a_hash_for_each_package_and_no_host():
    """So it installs the same bytes from whatever registry."""
    text = (FOLDER / "node/package-lock.json").read_text()
    packages = {name: p for name, p in json.loads(text)["packages"].items() if name}
    assert [name for name, p in packages.items() if not p["integrity"].startswith("sha512-")] == []
    assert "resolved" not in text
