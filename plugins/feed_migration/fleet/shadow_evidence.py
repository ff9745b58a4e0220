"""What shadow processes compared, kept before their pods end: what they wrote ends with them.

A pod's own folder is nobody else's, so report and console would say that nothing was compared.
"""

import json
import logging
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

from feed_migration.deployment import Instance
from feed_migration.durable import write_text
from feed_migration.fleet.at_once import ask_at_once
from feed_migration.fleet.one_get import get

LOG = logging.getLogger(__name__)

# the way back waits for it, behind the flag
LOOK_SECONDS = 3.0
ANSWER_BYTES = 4 * 1024 * 1024
# as the feed's own file has it, see backpack_feed.process.parity.samples_file
_FORMAT = 1


def keep_evidence(shadows: Sequence[Instance], folder: Path, at_unix: float) -> None:
    """Write the parity of each shadow's /snapshot to `folder`/ID.json, as of `at_unix`.

    A shadow that does not answer within seconds keeps the file of before. Never raises, and takes
    `LOOK_SECONDS` and the writing at most: evidence is wanted, an end of the shadows more.
    """
    for shadow, parity in zip(
        shadows, ask_at_once(shadows, _parity_of, seconds=LOOK_SECONDS), strict=True
    ):
        _keep(shadow, parity, folder / f"{shadow.id}.json", at_unix)


def _keep(
    shadow: Instance, parity: Future[dict[str, object]] | None, file: Path, at_unix: float
) -> None:
    error = TimeoutError() if parity is None else parity.exception()
    if isinstance(error, OSError) and not isinstance(error, TimeoutError):
        # no such name, or nobody listens: a rollback stops shadows that never were
        LOG.debug("%s: no parity to keep (%s)", shadow.id, type(error).__name__)
        return
    if parity is None or error is not None:
        LOG.warning("%s: its parity is not kept (%s)", shadow.id, type(error).__name__)
        return
    head = {"format": _FORMAT, "instance_id": shadow.id, "at": round(at_unix, 3)}
    try:
        write_text(file, json.dumps(head | parity.result()))
    except OSError as failure:
        LOG.warning("%s: its parity is not kept: %s", shadow.id, failure)


def _parity_of(shadow: Instance) -> dict[str, object]:
    raw = get(f"{shadow.url}/snapshot", seconds=LOOK_SECONDS, most_bytes=ANSWER_BYTES)
    parity = json.loads(raw)["parity"]
    if not isinstance(parity, dict):
        raise TypeError("it is no object")
    return parity
