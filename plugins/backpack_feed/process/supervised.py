"""A feed ends with the supervisord that started it.

Alone it would keep its port and its tape, on the feed that it happened to run: the next supervisord
could not start its successor, and a rollback could not reach it.
"""

import ctypes
import os
import signal
import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

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
    # one that died before that call sends nothing
    scheme, _, path = environ.get("SUPERVISOR_SERVER_URL", "").partition("://")
    if scheme == "unix" and _is_orphan(path):
        raise Refusal("supervisord died while this feed started: start supervisord again")


def _is_orphan(path: str) -> bool:
    """Return whether no ancestor is the supervisord that has this socket.

    It has left the socket behind, or the next one has it already: who starts on slow cores is
    overtaken, and would run on beside its successor, out of that one's reach.
    """
    with socket.socket(socket.AF_UNIX) as client, suppress(OSError):
        client.settimeout(_CONNECT_SECONDS)
        try:
            client.connect(path)
        except ConnectionRefusedError:
            return True
        if (listener := _peer(client)) is None:
            return False
        if _is_supervisord(listener):
            return listener not in _ancestors()
        # it listened before it became a daemon: that process is gone, and nobody tells which it is
        return not any(_is_supervisord(pid) for pid in _ancestors() if pid != 1)
    return False


def _peer(client: socket.socket) -> int | None:
    """Return the pid of who listens, by unix(7); None where the system does not tell."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[0]) or None


def _ancestors() -> Iterator[int]:
    """Yield the parent, its parent and so on: a script may stand between."""
    pid = os.getppid()
    while pid > 0:
        yield pid
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return


def _is_supervisord(pid: int) -> bool:
    try:
        return b"supervisor" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
