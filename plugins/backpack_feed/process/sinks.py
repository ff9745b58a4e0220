"""Sinks by configuration: the tape, and any cryptofeed backend by its dotted path."""

import inspect
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from cryptofeed.backends.backend import BackendQueue
from cryptofeed.defines import TRADES

from backpack_feed.process.checkpoint import Checkpoint, least_taken
from backpack_feed.process.config import CryptofeedSink, HandlerConfig, TapeSink
from backpack_feed.process.tape import Tape
from backpack_feed.refusal import ConfigError, Refusal, SinkError

SinkCallback = Callable[[Any, float], Coroutine[Any, Any, None]]


@dataclass
class Sinks:
    """What a feed's callbacks are made of; `callbacks` keeps the order of delivery per channel."""

    callbacks: dict[str, list[SinkCallback]] = field(default_factory=dict)
    backends: list[BackendQueue] = field(default_factory=list)
    tape: Tape | None = None
    checkpoint: Checkpoint | None = None

    def last_ids(self, symbols: Iterable[str]) -> dict[str, int]:
        """Return the last delivered trade id per symbol; the tape knows best."""
        if self.tape is not None:
            return self.tape.last_ids(symbols)
        return self.checkpoint.last_ids(symbols) if self.checkpoint is not None else {}

    def dropped(self) -> int:
        """Count messages that backends gave up: full queues and failed writes."""
        stats = [backend.stats for backend in self.backends]
        return sum(s.dropped_overflow + s.dropped_failed for s in stats)

    def flush(self) -> None:
        """Store what can be stored; raises `SinkError`."""
        if self.checkpoint is not None:
            self.checkpoint.flush()

    def close(self) -> None:
        """Flush and let go of every file."""
        self.flush()
        if self.tape is not None:
            self.tape.close()


def open_sinks(config: HandlerConfig, variant: str, fail: Callable[[Refusal], None]) -> Sinks:
    """Open every sink of `config`; a sink that breaks later is reported to `fail` once and raised.

    Raises `ConfigError` for a sink that cannot be made, `SinkError` for one that cannot be opened.
    """
    sinks = Sinks(callbacks={channel: [] for channel in config.channels})
    if config.tape is not None:
        sinks.tape = _tape(config, config.tape, variant)
        for channel, callbacks in sinks.callbacks.items():
            callbacks.append(_reporting(sinks.tape.callback(channel), fail))
    trade_counts = []
    for number, sink in enumerate(config.sinks):
        if isinstance(sink, CryptofeedSink):
            backend = _backend(f"sinks[{number}]", sink)
            sinks.callbacks[sink.channel].append(backend)
            if isinstance(backend, BackendQueue):
                sinks.backends.append(backend)
                if sink.channel == TRADES:
                    trade_counts.append(_disposed(backend))
    checkpointed = sinks.tape is None and TRADES in sinks.callbacks
    if checkpointed and config.checkpoint_directory is not None:
        sinks.checkpoint = Checkpoint(config.checkpoint_directory, least_taken(trade_counts))
        sinks.callbacks[TRADES].append(_reporting(sinks.checkpoint.trade, fail))
    return sinks


def _tape(config: HandlerConfig, sink: TapeSink, variant: str) -> Tape:
    try:
        return Tape(
            sink.directory,
            instance_id=config.instance_id,
            variant=variant,
            channels=config.channels,
            book_interval_seconds=sink.book_interval_seconds,
        )
    except SinkError as error:
        raise ConfigError(
            f"sinks[{config.sinks.index(sink)}].directory: {error}: name a folder that this"
            " process may fill"
        ) from error


def _reporting(callback: SinkCallback, fail: Callable[[Refusal], None]) -> SinkCallback:
    """A sink that breaks must stop the process: going on would lose what it was given."""

    async def deliver(item: Any, receipt_timestamp: float) -> None:
        try:
            await callback(item, receipt_timestamp)
        except SinkError as error:
            fail(error)
            raise

    return deliver


def _disposed(backend: BackendQueue) -> Callable[[], int]:
    def count() -> int:
        stats = backend.stats
        return int(stats.delivered + stats.dropped_overflow + stats.dropped_failed)

    return count


def _backend(place: str, sink: CryptofeedSink) -> Any:
    """Instantiate a cryptofeed backend; a full queue blocks the feed unless options say else."""
    module_name, _, class_name = sink.backend.rpartition(".")
    try:
        kind = getattr(import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"{place}.backend: {sink.backend} cannot be imported: {error}") from error
    if not (inspect.isclass(kind) and inspect.iscoroutinefunction(kind.__call__)):
        raise ConfigError(f"{place}.backend: {sink.backend} is not a cryptofeed callback class")
    options = dict(sink.options)
    if issubclass(kind, BackendQueue):
        options.setdefault("overflow", "block")
    try:
        return kind(**options)
    except (TypeError, ValueError) as error:
        # the options may hold passwords, so only their names are told
        names = ", ".join(sorted(sink.options)) or "none"
        raise ConfigError(
            f"{place}.options: {sink.backend} refused them ({names}): {type(error).__name__}"
        ) from None
