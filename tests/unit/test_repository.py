"""Conventions that a reader counts on, held by the build."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PINS = dict(
    re.findall(
        r"^([a-z0-9-]+)(?:\[[^\]]*\])?==\S+ \\\n((?:    --hash=sha256:[0-9a-f]{64}.*\n?)+)",
        (REPOSITORY / "requirements.txt").read_text(),
        re.MULTILINE,
    )
)


def test_every_wanted_package_is_pinned_with_hashes():
    """`pip install --require-hashes` gets what requirements.in names."""
    wanted = re.findall(
        r"^([a-z0-9-]+)", (REPOSITORY / "requirements.in").read_text(), re.MULTILINE
    )
    assert len(wanted) > 20
    assert [name for name in wanted if name not in PINS] == []


def test_no_pin_is_without_a_hash():
    """Each line that pins a version is followed by its hashes."""
    text = (REPOSITORY / "requirements.txt").read_text()
    assert len(PINS) == len(re.findall(r"^[a-z0-9-]+(?:\[[^\]]*\])?==", text, re.MULTILINE))


def test_readme_first_screen_has_the_two_commands():
    """A newcomer sees `make demo` and `make test` without scrolling."""
    screen = (REPOSITORY / "README.md").read_text().splitlines()[:12]
    assert any(line.startswith("make demo") for line in screen)
    assert any(line.startswith("make test") for line in screen)


def test_modules_stay_small():
    """No module of the product grows past 400 lines."""
    sizes = {
        str(path.relative_to(REPOSITORY)): len(path.read_text().splitlines())
        for folder in ("plugins", "backpack_sandbox", "tools", "dags")
        for path in (REPOSITORY / folder).rglob("*.py")
    }
    assert {name: size for name, size in sizes.items() if size > 400} == {}


def test_documents_link_to_what_exists():
    """Every relative link of README, CONTRIBUTING and docs leads somewhere."""
    pages = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md"]
    pages += (REPOSITORY / "docs").rglob("*.md")
    broken = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert broken == []


def test_documents_name_tests_that_exist():
    """The matrix of faults says what shows each; a renamed test must not stay there."""
    named = [
        (REPOSITORY / file, name)
        for page in (REPOSITORY / "docs").rglob("*.md")
        for file, name in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page.read_text())
    ]
    assert len(named) > 20
    gone = [
        f"{file.name}::{name}"
        for file, name in named
        if not file.exists() or (name and f"def {name}(" not in file.read_text())
    ]
    assert gone == []


def test_the_sandbox_cites_no_document_that_is_not_here():
    """Its rules stand in words, or at a public address."""
    files = [*(REPOSITORY / "backpack_sandbox").rglob("*.py")]
    files += [*(REPOSITORY / "backpack_sandbox").rglob("*.toml")]
    files += (REPOSITORY / "docs" / "sandbox").rglob("*.md")
    cited = re.compile(r"protocol[ ,(]+(section )?\d|\bsections? \d", re.IGNORECASE)
    assert [file.name for file in files if cited.search(file.read_text())] == []
