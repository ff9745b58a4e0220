"""A feed ends with the supervisord that started it.

Alone it would keep its port and its tape, on the feed that it happened to run: the next supervisord
could not start its successor, and a rollback could not reach it.
"""

import ctypes
import os
import signal
import socket
from collections.abc import Mapping
from contextlib import suppress

from backpack_feed.refusal import Refusal

_PR_SET_PDEATHSIG = 1
_CONNECT_SECONDS = 1.0


def end_with_supervisor(environ: Mapping[str, str] = os.environ) -> None:
    """Get SIGTERM when supervisord dies (Linux); nothing happens below anything else.

    Raises `Refusal` where it is dead already.
    """
    if "SUPERVISOR_ENABLED" not in environ:
        return
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    # one that died before that call sends nothing, but has left its socket behind
    scheme, _, path = environ.get("SUPERVISOR_SERVER_URL", "").partition("://")
    if scheme == "unix" and not _listens(path):
        raise Refusal("supervisord died while this feed started: start supervisord again")


def _listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as client, suppress(OSError):
        client.settimeout(_CONNECT_SECONDS)
        try:
            client.connect(path)
        except ConnectionRefusedError:
            return False
    return True
