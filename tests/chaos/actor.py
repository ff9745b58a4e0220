"""A process that acts and can be killed: a fork of this one, with everything imported."""

import json
import os
import select
import signal
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from feed_migration.errors import MigrationError

type Act = Callable[[], None]


@dataclass(frozen=True)
class End:
    """How an actor ended: `refusal` is the error's name, "killed", "broken" or "" for done."""

    refusal: str
    text: str = ""

    @property
    def done(self) -> bool:
        """The act was carried out."""
        return not self.refusal


class Actor:
    """Runs `act` in a fork; this process must have no threads. Its stderr goes to `log`."""

    def __init__(self, act: Act, log: Path) -> None:
        self._answer, answer = os.pipe()
        self._status: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            _act_and_exit(act, log, answer)
        os.close(answer)

    @property
    def alive(self) -> bool:
        """It has not ended."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._status = status if pid else None
        return self._status is None

    def signal(self, number: signal.Signals) -> bool:
        """Send a signal; whether there was somebody to take it."""
        if not self.alive:
            return False
        os.kill(self.pid, number)
        return True

    def end(self, timeout_seconds: float) -> End:
        """Wait for the end; one that hangs is killed, and that is an error."""
        if self.alive:
            watched = os.pidfd_open(self.pid)
            ended, _, _ = select.select([watched], [], [], timeout_seconds)
            os.close(watched)
            if not ended:
                self.signal(signal.SIGKILL)
                raise AssertionError(f"an actor still acts after {timeout_seconds:g} s")
            assert not self.alive
        with os.fdopen(self._answer, "rb") as stream:
            raw = stream.read()
        if os.WIFSIGNALED(self._status or 0):
            return End("killed")
        return End(**json.loads(raw))


def _act_and_exit(act: Act, log: Path, answer: int) -> NoReturn:
    code = 1
    with suppress(BaseException):
        os.dup2(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644), 2)
        os.write(answer, json.dumps(_carried_out(act)).encode())
        code = 0
    os._exit(code)


def _carried_out(act: Act) -> dict[str, str]:
    try:
        act()
    except MigrationError as error:
        return {"refusal": type(error).__name__, "text": str(error)}
    except Exception:  # noqa: BLE001 - what nobody expects is told with its place
        return {"refusal": "broken", "text": traceback.format_exc()}
    return {"refusal": ""}
