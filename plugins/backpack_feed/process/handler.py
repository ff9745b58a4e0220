"""The FeedHandler process: config → feeds → sinks, with HTTP endpoints, until SIGTERM."""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from cryptofeed.defines import L2_BOOK, TRADES
from cryptofeed.exceptions import UnsupportedSymbol
from cryptofeed.feedhandler import FeedHandler

import backpack_feed
from backpack_feed.process.channels import PRIVATE, served_channels
from backpack_feed.process.config import HandlerConfig
from backpack_feed.process.endpoints import build_app, listening
from backpack_feed.process.latency import LatencyObserver
from backpack_feed.process.metrics import FeedCollector, build_registry
from backpack_feed.process.parity import STALL_SECONDS, Parity
from backpack_feed.process.shadow import ShadowWatch, Witness
from backpack_feed.process.sinks import Sinks, open_sinks
from backpack_feed.process.status import FeedStatus, ProcessStatus
from backpack_feed.refusal import ConfigError, Refusal
from backpack_feed.toggle import CCXT, EXCHANGE, NATIVE

LOG = logging.getLogger(__name__)

SHADOW = "shadow"
FEEDS = {CCXT: "CcxtBackpackFeed", NATIVE: "BackpackFeed"}
CCXT_BOOK_DEPTH = 100
STOP_SECONDS = 4.0
FLUSH_INTERVAL_SECONDS = 0.5


class HandlerProcess:
    """One FeedHandler process of the bound `variant`; a shadow runs both variants.

    `run` returns after `stop`, SIGTERM or SIGINT, and raises `Refusal` when the operator must act.
    `port` is where the endpoints listen, once they do.
    """

    def __init__(
        self,
        config: HandlerConfig,
        variant: str,
        clock: Callable[[], float] = time.time,  # noqa: TID251 - an argument
    ) -> None:
        shadow = config.role == SHADOW
        self.config = config
        self.port: int | None = None
        self.parity = (
            Parity(stall_seconds=STALL_SECONDS, symbols=config.symbols) if shadow else None
        )
        self._clock = clock
        self._stop = asyncio.Event()
        self._failure: Refusal | None = None
        self._sinks = Sinks()
        self._registry = build_registry()
        self._latency = LatencyObserver(self._registry, config.instance_id, clock)
        self._status = ProcessStatus(
            instance_id=config.instance_id,
            variant=SHADOW if shadow else variant,
            pid=os.getpid(),
            started_at=datetime.fromtimestamp(clock(), UTC).isoformat(),
            parity=self.parity,
        )
        self._variants = (CCXT, NATIVE) if shadow else (variant,)
        self._channels: dict[str, tuple[str, ...]] = {}
        self._registry.register(
            FeedCollector(config.instance_id, self._status.readings, parity=self.parity)
        )

    def stop(self) -> None:
        """Ask for a graceful end; may be called again."""
        self._stop.set()

    async def run(self) -> None:
        """Serve until stopped."""
        self._channels = {variant: self._served(variant) for variant in self._variants}
        variant = self._variants[0]
        self._sinks = open_sinks(self.config, variant, self._fail)
        try:
            with self._signals():
                app = build_app(self._status.snapshot, self._registry)
                async with listening(app, self.config.metrics) as self.port:
                    LOG.info("%s listens on port %d", self.config.instance_id, self.port)
                    await self._serve()
        finally:
            self._sinks.close()
        LOG.info("%s stopped", self.config.instance_id)

    def _served(self, variant: str) -> tuple[str, ...]:
        """Return the channels that the feed of `variant` serves."""
        if variant == CCXT and self.config.depth_window is not None:
            LOG.warning("depth_window: the ccxt feed takes every change of a book instead")
        return served_channels(
            self.config.channels, _feed_class(variant).websocket_channels, variant
        )

    async def _serve(self) -> None:
        # cryptofeed would write feedhandler.log into the working directory
        handler = FeedHandler(config={"log": {"disabled": True}})
        for variant in self._variants:
            self._add_feed(handler, variant)
        feeds = asyncio.create_task(handler.run_async(install_signal_handlers=False))
        upkeep = asyncio.create_task(self._upkeep())
        stopped = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({feeds, upkeep, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            handler.request_stop()
            upkeep.cancel()
            stopped.cancel()
            await _ended(feeds)
        await asyncio.gather(upkeep, stopped, return_exceptions=True)
        self._report(feeds, upkeep)

    def _report(self, *tasks: "asyncio.Task[None]") -> None:
        if self._failure is not None:
            raise self._failure
        for task in tasks:
            error = None if task.cancelled() else task.exception()
            if error is not None:
                raise _as_refusal(error) from error

    def _add_feed(self, handler: FeedHandler, variant: str) -> None:
        config = self.config
        shared: dict[str, Any] = {
            "symbols": list(config.symbols),
            "channels": list(self._channels[variant]),
            "callbacks": self._callbacks(variant),
            "candle_interval": config.candle_interval,
            "http_proxy": config.venue.http_proxy,
            "rest_url": config.venue.rest_url,
            "ws_url": config.venue.ws_url,
            "ca_file": config.venue.ca_file,
            "instance_id": config.instance_id,
            "shutdown_timeout": STOP_SECONDS - 1.0,
        }
        if variant == CCXT:
            # ccxt's books are copied whole at every update, so they are cut to what sinks can use
            shared["max_depth"] = CCXT_BOOK_DEPTH
        elif config.depth_window is not None:
            shared["depth_window"] = config.depth_window
        # a shadow signs in only when it is asked for the channels of the account
        if self.parity is None or PRIVATE.intersection(self._channels[variant]):
            shared["credentials_file"] = config.credentials_file
        if self.parity is None:
            shared["trade_checkpoint"] = self._sinks.last_ids(config.symbols)
            handler.add_feed(EXCHANGE, **shared)
        else:
            handler.add_feed(_feed_class(variant)(config=handler.config, **shared))
        self._status.feeds.append(
            FeedStatus(
                variant=variant,
                feed=handler.feeds[-1],
                symbols=config.symbols,
                channels=self._channels[variant],
                unserved=tuple(set(config.channels) - set(self._channels[variant])),
                max_snapshot_age_seconds=config.max_snapshot_age_seconds,
                dropped_by_sinks=self._sinks.dropped,
            )
        )

    def _callbacks(self, variant: str) -> dict[str, list[Any]]:
        if self.parity is None:
            callbacks: dict[str, list[Any]] = {
                channel: list(sinks) for channel, sinks in self._sinks.callbacks.items()
            }
        else:
            witness = Witness(self.parity, variant)
            callbacks = {channel: [] for channel in self._channels[variant]}
            callbacks[TRADES].append(witness.trade)
            callbacks[L2_BOOK].append(witness.book)
        for channel in self._channels[variant]:
            callbacks[channel].append(self._latency.callback(variant, channel))
        return callbacks

    async def _upkeep(self) -> None:
        if self.parity is not None:
            await ShadowWatch(self.parity, self.config, self._venue_symbols).run()
        while True:
            await asyncio.sleep(FLUSH_INTERVAL_SECONDS)
            self._sinks.flush()

    def _venue_symbols(self) -> Mapping[str, str]:
        """Return what the native feed of a shadow has learned: symbol → the venue's."""
        symbols: Mapping[str, str] = self._status.feeds[-1].feed.table.to_venue
        return symbols

    def _fail(self, refusal: Refusal) -> None:
        """A sink broke: stop, and say why once everything is closed."""
        if self._failure is None:
            self._failure = refusal
            self.stop()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)


def _feed_class(variant: str) -> Any:
    return getattr(backpack_feed, FEEDS[variant])


async def _ended(feeds: "asyncio.Task[None]") -> None:
    """Give the feeds time to flush their backends, then end them the hard way."""
    done, _ = await asyncio.wait({feeds}, timeout=STOP_SECONDS)
    if not done:
        LOG.warning("feeds did not end within %.0f s and were cancelled", STOP_SECONDS)
        feeds.cancel()
        await asyncio.wait({feeds}, timeout=1.0)


def _as_refusal(error: BaseException) -> Refusal:
    """Find what the operator can mend within cryptofeed's exception groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, Refusal):
        return error
    if isinstance(error, UnsupportedSymbol):
        return ConfigError(f"symbols: {error}: take the name from the venue's /api/v1/markets")
    failure = Refusal(f"the feed ended: {type(error).__name__}: {error}")
    failure.exit_code = 1
    return failure
