"""Command lines and environments of every process of this machine, for as long as one looks."""

import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import psutil

from tests.secrecy.search import Place

INTERVAL_SECONDS = 0.1


class ProcessWatch:
    """Looks at /proc again and again within `with`, and keeps what differs.

    A process may be renamed and replaced under its number, so each look reads each command line.
    """

    def __init__(self) -> None:
        self._command_lines: dict[bytes, None] = {}
        self._environments: dict[tuple[bytes, bytes], None] = {}
        self._last: dict[int, bytes] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def places(self) -> Iterator[Place]:
        """Yield each command line, and each environment that a process with it had."""
        for line in list(self._command_lines):
            yield Place("command line", _readable(line), line)
        for line, environment in list(self._environments):
            yield Place("environment", _readable(line), environment)

    def saw(self, *words: str) -> bool:
        """Whether there was a process with all `words` in its command line, seen with both."""
        lines = [_readable(line) for line, _ in list(self._environments)]
        return any(all(word in line for word in words) for line in lines)

    def _watch(self) -> None:
        while not self._ended.wait(INTERVAL_SECONDS):
            self._look()

    def _look(self) -> None:
        seen = {}
        for pid in psutil.pids():
            line = _read(f"/proc/{pid}/cmdline")
            if not line:  # the kernel's own, or it ended
                continue
            self._command_lines[line] = None
            environment = b"" if self._last.get(pid) == line else _read(f"/proc/{pid}/environ")
            if environment:
                self._environments[line, environment] = None
            # a program that has just begun may show its environment only at the next look
            if environment or self._last.get(pid) == line:
                seen[pid] = line
        self._last = seen


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - thousands of times a second
            return file.read()
    except OSError:  # it ended, or is somebody else's
        return b""


def _readable(line: bytes) -> str:
    return line.replace(b"\0", b" ").decode(errors="replace").strip()
