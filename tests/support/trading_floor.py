"""A venue without sockets: markets, accounts, desk, ledger, and every frame that would go out."""

import json
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

from backpack_sandbox.account.desk import TradingDesk
from backpack_sandbox.account.funding import FundingClock
from backpack_sandbox.constants import HOUSE, TRADER
from backpack_sandbox.market.book import Side
from backpack_sandbox.market.catalog import build_catalog
from backpack_sandbox.market.events import MarketEvent
from backpack_sandbox.market.exchange import Exchange
from backpack_sandbox.market.orders import OrderRequest
from backpack_sandbox.market.perpetuals import Perpetuals, mid_ticks
from backpack_sandbox.sockets.fanout import Fanout
from backpack_sandbox.streams.account_streams import AccountStreams
from backpack_sandbox.streams.klines import KlineStreams
from backpack_sandbox.streams.market_frames import MarketFrames
from backpack_sandbox.streams.names import private_stream
from backpack_sandbox.streams.periodic import PeriodicStreams
from backpack_sandbox.streams.publisher import DerivedStreams, Publisher
from backpack_sandbox.streams.stocks import StockQuotes
from backpack_sandbox.streams.windows import DepthWindows
from backpack_sandbox.streams.wire import WireEncoder
from backpack_sandbox.truth.ledger import Ledger
from backpack_sandbox.truth.recovery import recover, session_books
from backpack_sandbox.truth.store import TruthStore

CATALOG = build_catalog()
SPOT, PERP = "SOL_USDC", "SOL_USDC_PERP"
START = 1_790_900_000.0


class RecordingFanout(Fanout):
    """Keeps every data frame by its key."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: dict[str, list[dict[str, Any]]] = defaultdict(list)

    def publish(self, stream: str, symbol: str, frame: bytes) -> None:
        self.frames[stream].append(json.loads(frame))


class TradingFloor:
    """Starts from the ledger in `state_dir`, as the real venue does."""

    def __init__(self, state_dir: Path, seed: int = 7, *, now: float = START) -> None:
        self.path = state_dir / "ledger.jsonl"
        self.now = now
        recovered = recover(self.path, CATALOG)
        self.accounts = recovered.accounts
        self.exchange = Exchange(
            CATALOG, seed=seed, events_per_second=20, trades_per_second=6, resume=recovered.states
        )
        self.engines = self.exchange.engines
        self.fanout = RecordingFanout()
        self.ledger = Ledger(self.path, TruthStore(state_dir / "truth.sqlite"))
        for symbol, engine in self.engines.items():
            state = engine.state()
            self.ledger.books.begin(symbol, state.bids, state.asks, state.last_update_id)
        self.ledger.begin_session({"books": session_books(CATALOG, self.engines)})
        self.publisher = self._publisher()
        self.desk = TradingDesk(CATALOG, self.engines, self.accounts, self._publish)
        self.publisher.on_fill = self.desk.follow_fill
        self.exchange.on_second = lambda second, _lag: self.publisher.tick(second, 0.0)

    def advance(self, seconds: float) -> None:
        """The flow trades for `seconds`; the clock goes with it."""
        until = self.exchange.model_seconds + seconds
        for _, events in self.exchange.advance(until):
            self.publisher.publish(events, 0.0)
        self.publisher.commit()
        self.now += seconds

    def mid(self, symbol: str) -> int:
        """The middle of the book, in ticks; the first price while a side is empty."""
        middle = mid_ticks(self.engines[symbol].book)
        market = CATALOG[symbol]
        return market.price_grid.count(market.price) if middle is None else middle

    def balance(self, account: str, asset: str) -> tuple[Decimal, Decimal]:
        """(available, locked)."""
        balance = self.accounts[account].balance(asset)
        return balance.available, balance.locked

    def frames(self, account: str, stream: str) -> list[dict[str, Any]]:
        """The data of an account's frames so far."""
        return [frame["data"] for frame in self.fanout.frames[private_stream(account, stream)]]

    def close(self) -> None:
        self.ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _publisher(self) -> Publisher:
        encoders = {symbol: WireEncoder(market) for symbol, market in CATALOG.items()}
        frames = {symbol: MarketFrames(engine.market) for symbol, engine in self.engines.items()}
        perpetuals, emit = Perpetuals(self.engines, 7), self.fanout.publish
        derived = DerivedStreams(
            windows=DepthWindows(encoders),
            klines=KlineStreams(frames, self.ledger, emit),
            periodic=PeriodicStreams(frames, perpetuals, StockQuotes(self.engines), emit),
            account=AccountStreams(self.accounts, self.engines, emit, lambda: self.now),
            funding=FundingClock(CATALOG, perpetuals),
        )
        for account in (HOUSE, TRADER):
            for kind in ("balanceUpdate", "positionUpdate"):
                derived.watch(private_stream(account, f"account.{kind}"), True)
        return Publisher(
            encoders,
            self.ledger,
            self.fanout.publish,
            derived,
            lambda: self.now,
            trades_first=False,
        )

    def _publish(self, events: list[MarketEvent]) -> None:
        self.publisher.publish(events, 0.0)
        self.publisher.commit()


def limit(side: Side, price: int, quantity: int, **changes: Any) -> OrderRequest:
    """A limit order of the trader, unless told otherwise."""
    whose = {"account": TRADER} | changes
    return OrderRequest(side=side, price=price, quantity=quantity, **whose)


def market(side: Side, quantity: int | None, **changes: Any) -> OrderRequest:
    """A market order of the trader."""
    whose = {"account": TRADER} | changes
    return OrderRequest(side=side, price=None, quantity=quantity, **whose)
