"""The account's streams: orders, fills exactly once, balances and positions."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from backpack_feed.constants import BALANCES, FILLS, ORDER_INFO, POSITIONS
from backpack_feed.native.plain_streams import CountFrame
from backpack_feed.native.reader import Publication, Readers
from backpack_feed.native.seed_ledger import SeedLedger
from backpack_feed.wire.account_answers import (
    RestFill,
    RestPosition,
    to_absent_balance,
    to_absent_position,
    to_listed_position,
    to_past_fill,
)
from backpack_feed.wire.account_events import (
    TERMINAL,
    Balance,
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
NOT_IDS: Final = (None, "0")
"""Fills that are not in the venue's sequence."""

type Begun = tuple[int, int]
"""The moment of a subscription, for balances and for positions."""


@dataclass(slots=True)
class AccountCounts:
    """Frames that gave no event.

    `late_order_updates`: of an order that had ended already. `repeated_fills`: delivered before.
    `superseded_balances` and `superseded_positions`: what REST listed and something newer had told
    already. `unnumbered_fills`: REST listed them without an id, so they may have been delivered.
    """

    late_order_updates: int = 0
    repeated_fills: int = 0
    superseded_balances: int = 0
    superseded_positions: int = 0
    unnumbered_fills: int = 0


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
        self.wants_positions = POSITIONS in names
        self.wants_fills = FILLS in names
        self._delivered = delivered
        self._count_frame = count_frame
        self._ended: _Recent[tuple[str, str]] = _Recent(REMEMBERED_ORDERS)
        self._filled: _Recent[tuple[str, str, str]] = _Recent(REMEMBERED_FILLS)
        self._balances_told = SeedLedger()
        self._positions_told = SeedLedger()
        self.counts = AccountCounts()

    def readers(self) -> Readers:
        """Return the reader of every message class that this object reads."""
        return {
            OrderMessage: self._on_order,
            PositionMessage: self._on_position,
            BalanceMessage: self._on_balance,
        }

    def begin_seed(self) -> Begun:
        """Call when the streams are subscribed; return what the seeds of REST need."""
        return self._balances_told.begin(), self._positions_told.begin()

    def seed_balances(
        self, capital: Mapping[str, AssetCapital], begun: Begun, receipt: float
    ) -> list[Publication]:
        """Publish `GET /capital`, except for assets that the stream told of since `begun`.

        An asset that is listed no more has a balance of zero. `receipt` is unix seconds.
        """
        if not self.wants_balances:
            return []
        moment = begun[0]
        seeds = self._balances_told.seeds(capital.keys(), moment)
        self.counts.superseded_balances += seeds.superseded
        balances = [to_initial_balance(asset, capital[asset], receipt) for asset in seeds.current]
        balances += [to_absent_balance(asset, receipt) for asset in seeds.gone]
        for balance in balances:
            self._balances_told.seeded(balance.currency, moment, held=_is_held(balance))
        return [(BALANCES, balance, receipt) for balance in balances]

    def seed_positions(
        self, rows: Iterable[RestPosition], begun: Begun, receipt: float
    ) -> list[Publication]:
        """Publish `GET /position`, except for markets that the stream told of since `begun`.

        A position that is listed no more was closed while nobody listened.
        """
        moment = begun[1]
        listed = {row.symbol: row for row in rows if row.symbol in self._positions}
        seeds = self._positions_told.seeds(listed.keys(), moment)
        self.counts.superseded_positions += seeds.superseded
        positions = []
        for venue_symbol in seeds.current:
            row = listed[venue_symbol]
            note, held = str(row.position_id), row.quantity != 0
            self._positions_told.seeded(venue_symbol, moment, held=held, note=note)
            positions.append(to_listed_position(row, self._positions[venue_symbol], receipt))
        for venue_symbol, position_id in seeds.gone.items():
            self._positions_told.seeded(venue_symbol, moment, held=False, note=position_id)
            symbol = self._positions[venue_symbol]
            positions.append(to_absent_position(symbol, position_id, receipt))
        return [(POSITIONS, position, receipt) for position in positions]

    def past_fills(self, rows: Iterable[RestFill]) -> list[Publication]:
        """Publish what was not delivered yet, oldest first."""
        publications: list[Publication] = []
        for row in rows:
            symbol = self._fills.get(row.symbol)
            if symbol is None:
                continue
            fill = to_past_fill(row, symbol)
            if fill.id in NOT_IDS:
                self.counts.unnumbered_fills += 1
            elif self._is_new(fill):
                publications.append((FILLS, fill, None))
        return sorted(publications, key=lambda publication: publication[1].timestamp)

    def _on_balance(
        self, _stream: str, message: BalanceMessage, receipt: float
    ) -> Iterable[Publication]:
        self._delivered()
        if not self.wants_balances:
            return ()
        balance = to_balance(message)
        self._balances_told.told(message.asset, held=_is_held(balance))
        self._count_frame(BALANCES, None, receipt)
        return ((BALANCES, balance, receipt),)

    def _on_position(
        self, _stream: str, message: PositionMessage, receipt: float
    ) -> Iterable[Publication]:
        self._delivered()
        symbol = self._positions.get(message.symbol)
        if symbol is None:
            return ()
        held, note = message.quantity != 0, str(message.position_id)
        self._positions_told.told(message.symbol, held=held, note=note)
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
        if fill.id in NOT_IDS:
            return True  # nothing tells two of them apart
        key = (fill.symbol, fill.order_id, str(fill.id))
        if key in self._filled:
            self.counts.repeated_fills += 1
            return False
        self._filled.add(key)
        return True


def _is_held(balance: Balance) -> bool:
    return any((balance.available, balance.reserved, balance.staked))
