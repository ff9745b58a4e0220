"""The evidence of one shard as a JSON file: for the report, and for whoever wants to look."""

import json
import logging
import os
from pathlib import Path
from typing import Any

LOG = logging.getLogger(__name__)

WRITE_INTERVAL_SECONDS = 5.0
FORMAT = 1


class SamplesFile:
    """Replaces `path` with the newest summary; a file that cannot be written stops nothing.

    Bounded like the samples are. Only symbols of the configuration, ids and numbers are in it.
    """

    def __init__(self, path: Path, instance_id: str) -> None:
        self._path = path
        self._instance_id = instance_id
        self._failed = False

    def write(self, summary: dict[str, Any], unix_seconds: float) -> None:
        """Write the file as a whole."""
        head = {"format": FORMAT, "instance_id": self._instance_id, "at": round(unix_seconds, 3)}
        temporary = self._path.with_name(f".{self._path.name}.tmp")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("w", encoding="utf-8") as stream:
                json.dump(head | summary, stream)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(self._path)
            self._failed = False
        except OSError as error:
            if not self._failed:
                LOG.warning("%s: parity's samples cannot be written: %s", self._path, error)
            self._failed = True
