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

    It has left the socket behind, or the next one is about to replace it, or has it already: who
    starts on slow cores is overtaken, and would run on beside its successor, out of that one's
    reach.
    """
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(_CONNECT_SECONDS)
        try:
            client.connect(path)
        except ConnectionRefusedError:
            return True
        except OSError:
            # between two of them there is no socket for a third of a second; nor for ever, where
            # somebody has cleaned up, and to another user it is closed
            return not _supervisord_above()
        listener = _peer(client)
    if listener is not None and _is_supervisord(listener):
        return listener not in _ancestors()
    # it listened before it became a daemon: that process is gone, and nobody tells which it is
    return not _supervisord_above()


def _peer(client: socket.socket) -> int | None:
    """Return the pid of who listens, by unix(7); None where the system does not tell."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[0]) or None


def _supervisord_above() -> bool:
    """Return whether an ancestor is a supervisord, as far as one may look."""
    return any(_is_supervisord(pid) is not False for pid in _ancestors())


def _ancestors() -> Iterator[int]:
    """Yield the parent, its parent and so on: a script may stand between."""
    pid = os.getppid()
    while pid > 0:
        yield pid
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return


def _is_supervisord(pid: int) -> bool | None:
    """Return whether a process is one, itself and not what starts it; None if one may not look."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return None
    first, *others = (Path(word).name for word in words[:3])
    by_python = first.startswith("python") and any("supervisord" in word for word in others)
    return first.startswith("supervisord") or by_python
