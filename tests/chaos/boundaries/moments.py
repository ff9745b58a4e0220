"""The moments at which a process can be killed: they are counted, and one of them is fatal.

Journal and fence are watched from outside, so that an event which is new has its moments by itself.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from feed_migration import fence
from feed_migration.fleet import supervisor
from feed_migration.fleet.supervisor_rpc import SupervisorRpc
from feed_migration.journal import anchors as audit_anchors
from feed_migration.journal import heads as journal_heads
from feed_migration.journal.database import JournalDatabase
from feed_migration.journal.tables import HEADS, SEALS

ORDERS = frozenset(
    {
        "reloadConfig",
        "startProcess",
        "stopProcessGroup",
        "signalProcess",
        "addProcessGroup",
        "removeProcessGroup",
    }
)
"""What supervisord is told; what it is asked changes nothing."""
NOTHING = "nothing"
_UNKNOWN = "?"
# Written with what they stand for
_BESIDES = frozenset({HEADS.name, SEALS.name})


class Moments:
    """Every moment that this process passes, in order; number `fatal` is its last."""

    def __init__(self, fatal: int | None = None) -> None:
        self.labels: list[str] = []
        self._fatal = fatal

    @property
    def near(self) -> bool:
        """The next one is fatal."""
        return len(self.labels) == self._fatal

    def passed(self, label: str) -> None:
        """Count, or die: a kill is the end of the process, no exception of it."""
        if self.near:
            os.kill(os.getpid(), signal.SIGKILL)
        self.labels.append(label)

    def named(self, what: str, since: int) -> None:
        """Tell of the moments from `since` on what was going to be written."""
        for place in range(since, len(self.labels)):
            self.labels[place] = self.labels[place].replace(_UNKNOWN, what)


def watch(moments: Moments) -> None:
    """Watch the journal and the fence of this process, for the rest of its life."""
    _watch_writes(moments)
    _watch_anchors(moments)
    _watch_fence(moments)


def watch_supervisor(moments: Moments) -> None:
    """Watch the files and the orders to supervisord as well."""
    call, write = SupervisorRpc._call, supervisor.write_text

    def called(self: SupervisorRpc, method: str, *rest: Any, **more: Any) -> object:
        if method not in ORDERS:
            return call(self, method, *rest, **more)
        moments.passed(f"before {method}")
        answer = call(self, method, *rest, **more)
        moments.passed(f"after {method}")
        return answer

    def written(path: Path, text: str) -> None:
        moments.passed(f"before {path.name} is written")
        write(path, text)
        moments.passed(f"{path.name} written")

    SupervisorRpc._call = called
    supervisor.write_text = written


def _watch_writes(moments: Moments) -> None:
    begin = JournalDatabase.writing

    @contextmanager
    def write(self: JournalDatabase) -> Iterator[Any]:
        start, written = len(moments.labels), [NOTHING]

        def note(_connection: Any, clause: Any, _many: Any, values: Any, _options: Any) -> None:
            if isinstance(clause, sa.Insert) and clause.table.name not in _BESIDES:
                written[:] = [values.get("kind") or clause.table.name]

        moments.passed(f"before {_UNKNOWN}")
        with begin(self) as connection:
            sa.event.listen(connection, "before_execute", note)
            yield connection
            moments.named(written[0], start)
            moments.passed(f"{written[0]} inserted, not committed")
        moments.passed(f"{written[0]} committed")

    JournalDatabase.writing = write


def _watch_anchors(moments: Moments) -> None:
    append, anchor = audit_anchors.append_whole, journal_heads.HeadKeeper.anchor

    def append_or_tear(descriptor: int, raw: bytes) -> None:
        if moments.near:
            os.write(descriptor, raw[: len(raw) // 2])
        moments.passed("anchor torn")
        append(descriptor, raw)

    def anchor_watched(
        self: journal_heads.HeadKeeper, database: JournalDatabase, *fresh: Any
    ) -> None:
        behind = self._behind
        anchor(self, database, *fresh)
        if behind:
            moments.passed("anchored")

    audit_anchors.append_whole = append_or_tear
    journal_heads.HeadKeeper.anchor = anchor_watched


def _watch_fence(moments: Moments) -> None:
    write = fence.write_text

    def raise_fence(path: Path, text: str) -> None:
        moments.passed("before the fence")
        write(path, text)
        moments.passed("fence raised")

    fence.write_text = raise_fence
