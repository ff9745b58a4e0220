"""What shadow processes compared, kept before their pods end: what they wrote ends with them.

A pod's own folder is nobody else's, so report and console would say that nothing was compared.
"""

import json
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as futures_wait
from pathlib import Path

from feed_migration.deployment import Instance
from feed_migration.durable import write_text
from feed_migration.fleet.one_get import get

LOG = logging.getLogger(__name__)

# the way back waits for it, behind the flag
LOOK_SECONDS = 3.0
ANSWER_BYTES = 4 * 1024 * 1024
_MAX_THREADS = 64
# as the feed's own file has it, see backpack_feed.process.parity.samples_file
_FORMAT = 1


def keep_evidence(shadows: Sequence[Instance], folder: Path, at_unix: float) -> None:
    """Write the parity of each shadow's /snapshot to `folder`/ID.json, as of `at_unix`.

    A shadow that does not answer within seconds keeps the file of before. Never raises, and takes
    `LOOK_SECONDS` and the writing at most: evidence is wanted, an end of the shadows more.
    """
    if not shadows:
        return
    pool = ThreadPoolExecutor(max_workers=min(_MAX_THREADS, len(shadows)))
    asked = {pool.submit(_parity_of, shadow): shadow for shadow in shadows}
    heard = futures_wait(asked, timeout=LOOK_SECONDS).done
    pool.shutdown(wait=False, cancel_futures=True)
    for answer, shadow in asked.items():
        if answer not in heard:
            LOG.warning("%s: parity not heard within %g s", shadow.id, LOOK_SECONDS)
            continue
        error = answer.exception()
        if isinstance(error, OSError) and not isinstance(error, TimeoutError):
            # no such name, or nobody listens: a rollback stops shadows that never were
            LOG.debug("%s: no parity to keep (%s)", shadow.id, type(error).__name__)
        elif error:
            LOG.warning("%s: its parity is not kept (%s)", shadow.id, type(error).__name__)
        else:
            head = {"format": _FORMAT, "instance_id": shadow.id, "at": round(at_unix, 3)}
            try:
                write_text(folder / f"{shadow.id}.json", json.dumps(head | answer.result()))
            except OSError as failure:
                LOG.warning("%s: its parity is not kept: %s", shadow.id, failure)


def _parity_of(shadow: Instance) -> dict[str, object]:
    raw = get(f"{shadow.url}/snapshot", seconds=LOOK_SECONDS, most_bytes=ANSWER_BYTES)
    parity = json.loads(raw)["parity"]
    if not isinstance(parity, dict):
        raise TypeError("it is no object")
    return parity
