"""The account's streams: orders, fills exactly once, balances and positions."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from backpack_feed.constants import BALANCES, FILLS, ORDER_INFO, POSITIONS
from backpack_feed.native.plain_streams import CountFrame
from backpack_feed.native.reader import Publication, Readers
from backpack_feed.wire.account_events import (
    TERMINAL,
    Fill,
    OrderUpdate,
    to_balance,
    to_initial_balance,
    to_order_update,
    to_position,
)
from backpack_feed.wire.account_messages import (
    AssetCapital,
    BalanceMessage,
    OrderMessage,
    PositionMessage,
)

REMEMBERED_ORDERS: Final = 10_000
REMEMBERED_FILLS: Final = 50_000


@dataclass(slots=True)
class AccountCounts:
    """Frames that gave no event.

    `late_order_updates`: of an order that had ended already. `repeated_fills`: delivered before.
    `superseded_balances`: assets of a `/capital` answer that something newer had told already.
    """

    late_order_updates: int = 0
    repeated_fills: int = 0
    superseded_balances: int = 0


class _Recent[T]:
    """The newest keys, as many as `limit`: what a reconnect may repeat is never older."""

    def __init__(self, limit: int) -> None:
        self._keys: dict[T, None] = {}
        self._limit = limit

    def __contains__(self, key: T) -> bool:
        return key in self._keys

    def add(self, key: T) -> None:
        self._keys[key] = None
        if len(self._keys) > self._limit:
            del self._keys[next(iter(self._keys))]


class AccountStreams:
    """Readers of the account's streams; they outlive a socket, so a repeat after it is noticed.

    `wanted`: channel → cryptofeed symbol → venue symbol. The account's streams carry every market,
    so other markets are no error; balances have no market, and any entry wants them all.
    `delivered` is called per frame: it proves that the venue took the signature.
    """

    def __init__(
        self,
        wanted: Mapping[str, Mapping[str, str]],
        *,
        delivered: Callable[[], None],
        count_frame: CountFrame,
    ) -> None:
        names = {channel: {v: k for k, v in symbols.items()} for channel, symbols in wanted.items()}
        self._orders = names.get(ORDER_INFO, {})
        self._fills = names.get(FILLS, {})
        self._positions = names.get(POSITIONS, {})
        self.wants_balances = BALANCES in names
        self._delivered = delivered
        self._count_frame = count_frame
        self._ended: _Recent[tuple[str, str]] = _Recent(REMEMBERED_ORDERS)
        self._filled: _Recent[tuple[str, str, str]] = _Recent(REMEMBERED_FILLS)
        self._moment = 0
        self._told_at: dict[str, int] = {}
        self.counts = AccountCounts()

    def readers(self) -> Readers:
        """Return the reader of every message class that this object reads."""
        return {
            OrderMessage: self._on_order,
            PositionMessage: self._on_position,
            BalanceMessage: self._on_balance,
        }

    def begin_seed(self) -> int:
        """Call just before `GET /capital` is sent; return what `seed_balances` needs."""
        self._moment += 1
        return self._moment

    def seed_balances(
        self, capital: Mapping[str, AssetCapital], begun: int, receipt: float
    ) -> list[Publication]:
        """Publish the answer of the request that `begun`, except for assets told of since.

        The answer says nothing about when each balance was true, so whatever arrived after the
        request left is taken as newer. `receipt` is unix seconds.
        """
        publications: list[Publication] = []
        if not self.wants_balances:
            return publications
        for asset, balance in capital.items():
            if self._told_at.get(asset, 0) > begun:
                self.counts.superseded_balances += 1
                continue
            self._told_at[asset] = begun
            publications.append((BALANCES, to_initial_balance(asset, balance, receipt), receipt))
        return publications

    def _on_balance(
        self, _stream: str, message: BalanceMessage, receipt: float
    ) -> Iterable[Publication]:
        self._delivered()
        self._moment += 1
        self._told_at[message.asset] = self._moment
        if not self.wants_balances:
            return ()
        self._count_frame(BALANCES, None, receipt)
        return ((BALANCES, to_balance(message), receipt),)

    def _on_position(
        self, _stream: str, message: PositionMessage, receipt: float
    ) -> Iterable[Publication]:
        self._delivered()
        symbol = self._positions.get(message.symbol)
        if symbol is None:
            return ()
        self._count_frame(POSITIONS, symbol, receipt)
        return ((POSITIONS, to_position(message, symbol), receipt),)

    def _on_order(
        self, _stream: str, message: OrderMessage, receipt: float
    ) -> Iterable[Publication]:
        self._delivered()
        venue_symbol = message.symbol
        symbol = self._orders.get(venue_symbol) or self._fills.get(venue_symbol)
        if symbol is None:
            return ()
        update = to_order_update(message, symbol)
        publications: list[Publication] = []
        if venue_symbol in self._orders:
            self._count_frame(ORDER_INFO, symbol, receipt)
            if self._is_current(update):
                publications.append((ORDER_INFO, update, receipt))
        fill = update.fill
        # also of an order that has ended: its last fill may come late, and is a fill nonetheless
        if fill is not None and venue_symbol in self._fills:
            self._count_frame(FILLS, symbol, receipt)
            if self._is_new(fill):
                publications.append((FILLS, fill, receipt))
        return publications

    def _is_current(self, update: OrderUpdate) -> bool:
        order = (update.symbol, update.id)
        if order in self._ended:
            self.counts.late_order_updates += 1
            return False
        if update.status in TERMINAL:
            self._ended.add(order)
        return True

    def _is_new(self, fill: Fill) -> bool:
        """Ids count per market, and a trade with oneself fills two orders under one id."""
        if fill.id in (None, "0"):
            return True  # not in the venue's sequence: nothing tells two of them apart
        key = (fill.symbol, fill.order_id, str(fill.id))
        if key in self._filled:
            self.counts.repeated_fills += 1
            return False
        self._filled.add(key)
        return True
