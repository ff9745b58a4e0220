"""One venue per state directory: two would write one ledger and reuse each other's ids."""

import fcntl
import os
from pathlib import Path

from backpack_sandbox.errors import SandboxError


def lock_state_dir(directory: Path) -> int:
    """Hold `directory` for this process; SandboxError when another one does.

    Returns the descriptor that holds the lock: closing it, or the end of the process, lets go.
    """
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise SandboxError(
            f"--state-dir {directory} belongs to a running sandbox; stop it or choose another"
        ) from None
    return descriptor
