"""Recorded shapes of the venue, from tests/fixtures/backpack."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

DIRECTORY = Path(__file__).parent.parent / "fixtures" / "backpack"
DECIMAL = re.compile(r"-?\d+(\.\d+)?\Z")


@cache
def load_fixture(name: str) -> Any:
    """The parsed content of one fixture file."""
    return json.loads((DIRECTORY / f"{name}.json").read_text())


def schema_violations(stream: str, data: dict[str, Any]) -> list[str]:
    """What in `data` is not as `field_types.json` says for this stream; empty when all is."""
    fields = _fields(stream)
    found = [f"{key}: not a field" for key in data.keys() - fields.keys()]
    for key, field in fields.items():
        if key not in data:
            found += [] if field["optional"] else [f"{key}: missing"]
        elif data[key] is None:
            found += [] if field["nullable"] else [f"{key}: null"]
        elif not _has_type(data[key], field["json_type"]):
            found.append(f"{key}: {data[key]!r} is not {field['json_type']}")
    return found


@cache
def _fields(stream: str) -> dict[str, Any]:
    listed = load_fixture("field_types")["streams"][stream]["fields"]
    return {field["key"]: field for field in listed}


def _has_type(value: Any, json_type: str) -> bool:
    name, _, choice = json_type.partition(" ")
    if name == "int":
        return type(value) is int
    if name == "bool":
        return isinstance(value, bool)
    if name.startswith("array"):
        return isinstance(value, list) and all(_is_level(level) for level in value)
    return isinstance(value, str) and (not choice or value in choice.split("|"))


def _is_level(level: Any) -> bool:
    return (
        isinstance(level, list)
        and len(level) == 2
        and all(isinstance(text, str) and DECIMAL.match(text) for text in level)
    )
