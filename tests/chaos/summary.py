"""`summary.json`: what each part of the attack found last, side by side."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from feed_migration.durable import lock, write_text

FILE_NAME = "summary.json"


def merge(
    folder: Path, part: str, fields: Mapping[str, Any], run: Mapping[str, Any]
) -> dict[str, Any]:
    """Put what `part` found into the summary in `folder`, keep that of others, and return all.

    Under `parts` stands `run`, how it was run and whether it was kept, and which fields are of it:
    those of its last run go, so that one that broke off leaves no figures of a better day. Whole
    after any crash, and safe for parts that end at the same time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE_NAME
    with (folder / f".{FILE_NAME}.lock").open("ab") as holder:
        lock(holder.fileno())
        known = json.loads(path.read_text()) if path.exists() else {}
        parts = known.pop("parts", {})
        for name in parts.get(part, {}).get("fields", ()):
            known.pop(name, None)
        parts[part] = {**run, "fields": sorted(fields)}
        merged = dict(sorted({**known, **fields}.items())) | {"parts": dict(sorted(parts.items()))}
        write_text(path, json.dumps(merged, indent=2) + "\n")
    return merged
