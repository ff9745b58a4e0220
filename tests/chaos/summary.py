"""`summary.json`: what each part of the attack found last, side by side."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from feed_migration.durable import lock, write_text

FILE_NAME = "summary.json"


def merge(folder: Path, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Put `fields` into the summary in `folder`, keep those of other parts, and return all.

    Whole after any crash, and safe for parts that end at the same time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE_NAME
    with (folder / f".{FILE_NAME}.lock").open("ab") as holder:
        lock(holder.fileno())
        known = json.loads(path.read_text()) if path.exists() else {}
        merged = dict(sorted({**known, **fields}.items()))
        write_text(path, json.dumps(merged, indent=2) + "\n")
    return merged
