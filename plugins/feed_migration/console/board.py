"""The newest view of everything, read by a few threads while somebody looks at the console.

Ten open pages cost as much as one: pages read sections from here, feeders fill them. A feeder that
fails leaves its sections as they were and says since when in the section `sources`.
"""

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from feed_migration.errors import MigrationError

LOG = logging.getLogger(__name__)
# Threads end when nobody has looked for this long
IDLE_SECONDS = 15.0
MAX_ERROR = 400


@dataclass(frozen=True, kw_only=True)
class Feeder:
    """Reads some sections; `pause` says for how long to rest after a read of so many seconds."""

    name: str
    read: Callable[[], Mapping[str, Any]]
    pause: Callable[[float], float]


@dataclass(frozen=True)
class Section:
    """One part of the view as JSON text; `version` grows with every change of any section."""

    version: int
    text: str


@dataclass
class Board:
    """Sections by name. `clock` is unix seconds, `monotonic` measures pauses."""

    feeders: Sequence[Feeder]
    clock: Callable[[], float] = time.time  # noqa: TID251 - the edge of the process
    monotonic: Callable[[], float] = time.monotonic
    _sections: dict[str, Section] = field(default_factory=dict)
    _errors: dict[str, dict[str, Any]] = field(default_factory=dict)
    _version: int = 0
    _watchers: set["Watcher"] = field(default_factory=set)
    _seen_at: float = 0.0
    _threads: dict[str, threading.Thread] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _ending: threading.Event = field(default_factory=threading.Event)
    _stir: threading.Condition = field(default_factory=threading.Condition)

    def sections(self, after_version: int = 0) -> dict[str, Section]:
        """Return the sections that changed after a version; the board is kept up to date."""
        self._look()
        with self._lock:
            return {
                name: section
                for name, section in self._sections.items()
                if section.version > after_version
            }

    def section(self, name: str, timeout_seconds: float = 5.0) -> Any:
        """Return the values of one section, waiting for its first reading; None without one."""
        self._look()
        deadline = self.monotonic() + timeout_seconds
        with self._stir:
            while name not in self._sections and self.monotonic() < deadline:
                self._stir.wait(deadline - self.monotonic())
        section = self._sections.get(name)
        return json.loads(section.text) if section else None

    @contextmanager
    def watched(self) -> Iterator["Watcher"]:
        """Yield what wakes the running event loop when a section has changed."""
        watcher = Watcher(asyncio.get_running_loop())
        with self._lock:
            self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            with self._lock:
                self._watchers.discard(watcher)

    def close(self, timeout_seconds: float = 5.0) -> None:
        """End the threads, and wait for those that read just now."""
        self._ending.set()
        with self._lock:
            # a page that still looks may start one more, which ends at once
            threads = list(self._threads.values())
        for thread in threads:
            thread.join(timeout_seconds)

    def _is_watched(self) -> bool:
        return bool(self._watchers) or self.monotonic() - self._seen_at < IDLE_SECONDS

    def _look(self) -> None:
        """Note that somebody looks, and start the threads that have ended."""
        self._seen_at = self.monotonic()
        with self._lock:
            for feeder in self.feeders:
                thread = self._threads.get(feeder.name)
                if thread is None or not thread.is_alive():
                    thread = threading.Thread(
                        target=self._feed,
                        args=(feeder,),
                        name=f"console-{feeder.name}",
                        daemon=True,
                    )
                    self._threads[feeder.name] = thread
                    thread.start()

    def _feed(self, feeder: Feeder) -> None:
        while not self._ending.is_set() and self._is_watched():
            began = self.monotonic()
            try:
                self._publish(feeder.read())
                self._told(feeder.name, None)
            except Exception as error:  # noqa: BLE001 - a page must outlive whatever breaks
                self._told(feeder.name, error)
            self._ending.wait(feeder.pause(self.monotonic() - began))

    def _told(self, name: str, error: Exception | None) -> None:
        """Keep since when a feeder fails, and why."""
        with self._lock:
            known = self._errors.pop(name, None)
            if error is not None:
                since = known["since"] if known else self.clock()
                self._errors[name] = {"since": since, "error": _words(error)}
            told = dict(sorted(self._errors.items()))
        if error is not None and known is None:
            LOG.warning("console: %s cannot be read", name, exc_info=error)
        self._publish({"sources": told})

    def _publish(self, sections: Mapping[str, Any]) -> None:
        with self._lock:
            for name, values in sections.items():
                text = json.dumps(values, separators=(",", ":"), allow_nan=False)
                known = self._sections.get(name)
                if known is None or known.text != text:
                    self._version += 1
                    self._sections[name] = Section(self._version, text)
                    for watcher in self._watchers:
                        watcher.wake()
        with self._stir:
            self._stir.notify_all()


class Watcher:
    """Wakes one coroutine of one event loop, from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._changed = loop, asyncio.Event()

    def wake(self) -> None:
        """Tell the coroutine that something has changed."""
        try:
            self._loop.call_soon_threadsafe(self._changed.set)
        except RuntimeError:
            LOG.debug("the event loop has ended, and with it the page")

    async def wait(self, seconds: float) -> bool:
        """Return once woken, or False when `seconds` are over."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return False
        self._changed.clear()
        return True


def _words(error: Exception) -> str:
    """Return an error of ours in its words; of any other only the kind: its text may hold more."""
    text = str(error) if isinstance(error, MigrationError) else type(error).__name__
    return " ".join(text.split())[:MAX_ERROR]
