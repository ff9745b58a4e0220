"""The markets and the accounts, put together: everything of a venue but its port."""

import time
from collections.abc import Mapping

from backpack_sandbox.account.desk import TradingDesk
from backpack_sandbox.account.funding import FundingClock
from backpack_sandbox.config import SandboxConfig
from backpack_sandbox.constants import MICROSECONDS
from backpack_sandbox.driver import CATCH_UP_MAX_SECONDS, MarketDriver
from backpack_sandbox.market.catalog import Market
from backpack_sandbox.market.exchange import Exchange
from backpack_sandbox.market.perpetuals import Perpetuals
from backpack_sandbox.rest.funding import FundingRates
from backpack_sandbox.sockets.fanout import Fanout
from backpack_sandbox.streams.account_streams import AccountStreams
from backpack_sandbox.streams.day_statistics import DAY_US
from backpack_sandbox.streams.klines import KlineStreams, trades_since
from backpack_sandbox.streams.market_frames import MarketFrames
from backpack_sandbox.streams.periodic import PeriodicStreams
from backpack_sandbox.streams.publisher import DerivedStreams, Publisher
from backpack_sandbox.streams.stocks import StockQuotes
from backpack_sandbox.streams.windows import DepthWindows
from backpack_sandbox.streams.wire import WireEncoder
from backpack_sandbox.truth.checkpoint import Checkpointer
from backpack_sandbox.truth.ledger import Ledger
from backpack_sandbox.truth.recovery import Recovered


class TradingFloor:
    """Where orders meet: what happens here is in the ledger before `fanout` tells anyone.

    Stands as `recovered` says, and moves only while `driver` runs or is told to.
    """

    def __init__(
        self,
        config: SandboxConfig,
        catalog: Mapping[str, Market],
        ledger: Ledger,
        recovered: Recovered,
        fanout: Fanout,
    ) -> None:
        self._config = config
        self.catalog = catalog
        self.ledger = ledger
        self.exchange = Exchange(
            catalog,
            seed=config.seed,
            events_per_second=config.rate,
            trades_per_second=config.trades_per_second,
            bursts=config.profile == "venue",
            resume=recovered.states,
        )
        encoders = {symbol: WireEncoder(market) for symbol, market in catalog.items()}
        self.perpetuals = Perpetuals(self.exchange.engines, config.seed)
        self.funding_rates = FundingRates(self.perpetuals, config.seed)
        self.derived = self._derive_streams(encoders, recovered, fanout)
        self.publisher = Publisher(
            encoders,
            ledger,
            fanout.publish,
            self.derived,
            config.clock,
            trades_first=config.trades_first,
        )
        self.publisher.last_engine_us = recovered.engine_us
        fanout.on_streams_changed = self.derived.watch
        self.exchange.on_second = self._on_second
        self.driver = MarketDriver(
            self.exchange,
            self.publisher,
            time.monotonic,
            tick_seconds=config.tick_seconds,
            paused=config.paused,
        )
        self._fanout = fanout
        self.driver.on_broken = self._stop
        self.accounts = recovered.accounts
        Checkpointer(
            ledger,
            self.exchange.engines,
            self.accounts,
            lambda: self.publisher.last_engine_us,
        )
        self.desk = TradingDesk(catalog, self.exchange.engines, self.accounts, self.driver.publish)
        self.publisher.on_fill = self.desk.follow_fill

    def _stop(self) -> None:
        """Publishing broke: nobody may see what the ledger has not."""
        self._fanout.silence()
        self.ledger.abandon()

    def _on_second(self, second: int, lag_seconds: float) -> None:
        lag_seconds = min(lag_seconds, CATCH_UP_MAX_SECONDS)
        self.funding_rates.tick(second, self._config.clock() - lag_seconds)
        self.publisher.tick(second, lag_seconds)

    def _derive_streams(
        self, encoders: Mapping[str, WireEncoder], recovered: Recovered, fanout: Fanout
    ) -> DerivedStreams:
        engines, emit = self.exchange.engines, fanout.publish
        frames = {symbol: MarketFrames(engine.market) for symbol, engine in engines.items()}
        periodic = PeriodicStreams(frames, self.perpetuals, StockQuotes(engines), emit)
        day_ago_us = int(self._config.clock() * MICROSECONDS) - DAY_US
        for symbol in self.catalog:
            periodic.trades(trades_since(self.ledger, symbol, day_ago_us))
        return DerivedStreams(
            windows=DepthWindows(encoders),
            klines=KlineStreams(frames, self.ledger, emit),
            periodic=periodic,
            account=AccountStreams(recovered.accounts, engines, emit, self._config.clock),
            funding=FundingClock(self.catalog, self.perpetuals),
        )
