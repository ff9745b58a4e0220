"""docs/cli.md: every command, option and exit code is in it, and nothing that is not there."""

import re
from pathlib import Path

import pytest
import typer

from feed_migration.cli.app import INTERRUPTED, app
from feed_migration.errors import EnvironmentUnavailable, Refused, UsageError

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def commands() -> dict[str, set[str]]:
    """Every command of the app with its options."""
    found: dict[str, set[str]] = {}

    def walk(command, words):
        if subcommands := getattr(command, "commands", None):
            for name, child in subcommands.items():
                walk(child, [*words, name])
            return
        options = {name for param in command.params for name in param.opts if name[:2] == "--"}
        found[" ".join(words)] = options

    walk(typer.main.get_command(app), [])
    return found


def sections() -> dict[str, str]:
    """The part of the page that is about each command."""
    parts = re.split(
        r"^### `([a-z ]+)`\n", PAGE.partition("\n## Completion")[0], flags=re.MULTILINE
    )
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_command_has_a_section_and_no_other_does():
    """Both ways: a command that is gone leaves no section behind."""
    assert set(sections()) == set(commands())


@pytest.mark.parametrize("command", commands())
def test_every_option_is_in_the_section_of_its_command(command):
    """And every option that is named there exists."""
    options = commands()[command]
    said = set(OPTION.findall(sections()[command]))
    assert options - said - {"--json"} == set()
    assert said - options == set()


def test_every_command_takes_json():
    """So the page says it once for all of them."""
    assert [name for name, options in commands().items() if "--json" not in options] == []


def test_the_exit_codes_are_those_of_the_errors():
    """0 is success, the rest is what the errors and an interruption end with."""
    table = PAGE.partition("## Exit codes")[2].partition("\n\nAn error")[0]
    said = {int(code) for code in re.findall(r"^\| (\d+) \|", table, flags=re.MULTILINE)}
    errors = {error.exit_code for error in (Refused, UsageError, EnvironmentUnavailable)}
    assert said == errors | {0, INTERRUPTED}
