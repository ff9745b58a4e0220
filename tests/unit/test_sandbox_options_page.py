"""docs/sandbox/README.md tells every option of `serve`, with its default."""

import argparse
import re
from pathlib import Path

from backpack_sandbox.cli_serve import add_serve

DOCS = Path(__file__).resolve().parents[2] / "docs" / "sandbox"
OFF = {False: "off", "": "none"}


def told(value: object) -> str:
    """A default in the words of the page."""
    if value == []:
        return "none"
    if isinstance(value, bool | str):
        return OFF.get(value, str(value))
    return format(value, "g")


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser()
    add_serve(made)
    return made


def test_the_page_lists_each_option_with_its_default():
    """No more, no fewer."""
    options = vars(parser().parse_args(["--state-dir", "required"]))
    options["state_dir"] = str(options["state_dir"])
    del options["command"]
    rows = re.findall(
        r"^\| `--([a-z-]+)` \| .* \| ([^|]+) \|$", (DOCS / "README.md").read_text(), re.MULTILINE
    )
    expected = [(name.replace("_", "-"), told(value)) for name, value in options.items()]
    assert sorted(rows) == sorted(expected)


def test_help_tells_each_default_that_is_a_value():
    """`serve --help` is enough to know what runs."""
    options = vars(parser().parse_args(["--state-dir", "x"]))
    shown = " ".join(parser().format_help().split())
    values = {
        name: value
        for name, value in options.items()
        if name not in {"state_dir", "command"} and value not in ([], "") and value is not False
    }
    for name, value in values.items():
        help_of = re.search(
            rf" --{name.replace('_', '-')} [^ ]+ (?!\[)(.*?)(?: --|$)", shown.split("options:")[1]
        )
        assert help_of[1].endswith(f"default: {told(value)}"), name
