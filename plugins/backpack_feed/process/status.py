"""What a FeedHandler process says about itself on /snapshot, /healthz and /metrics."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptofeed.defines import L2_BOOK

from backpack_feed.health import Health
from backpack_feed.process.channels import CHANNELS
from backpack_feed.process.metrics import Reading
from backpack_feed.process.parity import Parity

PER_SYMBOL = ("trades", "symbol_snapshot_age", "last_message_timestamp")


@dataclass
class DropWatch:
    """How many messages were dropped, and when that number last grew (monotonic seconds)."""

    count: int = 0
    grown_at: float = float("-inf")

    def see(self, count: int, now: float) -> None:
        """Take the present number."""
        if count > self.count:
            self.count, self.grown_at = count, now

    def reasons(self, now: float, limit_seconds: float) -> tuple[str, ...]:
        """Return why a feed that dropped something within the limit is unhealthy."""
        age_seconds = now - self.grown_at
        if age_seconds > limit_seconds:
            return ()
        reason = (
            f"{self.count} messages dropped since the start, the last {age_seconds:.0f} s ago:"
            " a frame was unreadable or a sink did not keep up: look for it in the log"
        )
        return (reason,)


@dataclass(frozen=True)
class FeedStatus:
    """One feed of the process; `feed` is a BackpackFeed or a CcxtBackpackFeed.

    `unserved` are the channels that the file asks for and this feed cannot serve.

    Whatever the venue sends, no symbol that is not configured and no channel that does not exist
    gets into an answer.
    """

    variant: str
    feed: Any
    symbols: Sequence[str]
    channels: Sequence[str]
    max_snapshot_age_seconds: float
    dropped_by_sinks: Callable[[], int]
    unserved: Sequence[str] = ()
    monotonic: Callable[[], float] = time.monotonic
    drops: DropWatch = field(default_factory=DropWatch)

    def metrics(self) -> dict[str, Any]:
        """Return `metrics_snapshot()` with zeros where nothing was counted yet.

        What queued backends gave up is added to `dropped_messages`: the feed cannot see it.
        """
        snapshot: dict[str, Any] = self.feed.metrics_snapshot()
        snapshot["dropped_messages"] += self.dropped_by_sinks()
        for key in PER_SYMBOL:
            counted = snapshot[key]
            snapshot[key] = {
                symbol: counted[symbol] for symbol in self.symbols if symbol in counted
            }
        heard = {c: count for c, count in snapshot["messages"].items() if c in CHANNELS}
        snapshot["messages"] = dict.fromkeys(self.channels, 0) | heard
        snapshot["trades"] = dict.fromkeys(self.symbols, 0) | snapshot["trades"]
        return snapshot

    def health(self) -> Health:
        """Return the feed's verdict at the configured age limit, and fresh drops of its sinks."""
        verdict: Health = self.feed.health(max_snapshot_age=self.max_snapshot_age_seconds)
        now = self.monotonic()
        self.drops.see(self.metrics()["dropped_messages"], now)
        reasons = verdict.reasons + self.drops.reasons(now, self.max_snapshot_age_seconds)
        return Health(healthy=not reasons, reasons=reasons)

    def not_ready(self) -> tuple[str, ...]:
        """Return why the feed is not ready; empty when it is."""
        missing = "no book in sync" if L2_BOOK in self.channels else "nothing received"
        return tuple(
            f"{symbol}: not ready: {missing} yet"
            for symbol, ready in sorted(self.feed.readiness().items())
            if not ready
        )

    def reading(self) -> Reading:
        """Return what one scrape needs."""
        return Reading(
            variant=self.variant,
            snapshot=self.metrics(),
            ready=not self.not_ready(),
            healthy=self.health().healthy,
        )

    def body(self) -> dict[str, Any]:
        """Return this feed's part of /snapshot."""
        verdict, waiting = self.health(), self.not_ready()
        return {
            "variant": self.variant,
            "ready": not waiting,
            "healthy": verdict.healthy,
            "reasons": [*verdict.reasons, *waiting],
            "unserved_channels": sorted(self.unserved),
            "books": self.feed.books_summary(),
            "metrics": self.metrics(),
        }


@dataclass
class ProcessStatus:
    """The whole process: one feed, or both and their parity in a shadow."""

    instance_id: str
    variant: str
    pid: int
    started_at: str
    parity: Parity | None = None
    feeds: list[FeedStatus] = field(default_factory=list)

    def readings(self) -> list[Reading]:
        """Return one reading per feed."""
        return [status.reading() for status in self.feeds]

    def snapshot(self) -> dict[str, Any]:
        """Return the body of /snapshot.

        A shadow is ready and healthy when both feeds are; `books` and `metrics` are then the native
        feed's, and `feeds` has the full answer of each.
        """
        bodies = [status.body() for status in self.feeds]
        head = {
            "instance_id": self.instance_id,
            "variant": self.variant,
            "pid": self.pid,
            "started_at": self.started_at,
        }
        if not bodies:
            return {
                **head,
                "ready": False,
                "healthy": False,
                "reasons": ["the feed has not started"],
                "books": {},
                "metrics": {},
            }
        if self.parity is None:
            return bodies[0] | head
        return {
            **head,
            "ready": all(body["ready"] for body in bodies),
            "healthy": all(body["healthy"] for body in bodies),
            "reasons": [f"{b['variant']}: {reason}" for b in bodies for reason in b["reasons"]],
            "books": bodies[-1]["books"],
            "metrics": bodies[-1]["metrics"],
            "feeds": {body["variant"]: body for body in bodies},
            "parity": self.parity.summary(),
        }
