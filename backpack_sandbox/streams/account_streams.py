"""The private streams of every account: orders, balances and positions."""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Protocol

from backpack_sandbox.account.accounts import Accounts
from backpack_sandbox.account.funding import FundingPayment
from backpack_sandbox.account.portfolio import Balance
from backpack_sandbox.account.positions import Position, PositionChange
from backpack_sandbox.constants import (
    BALANCE_UPDATE,
    MICROSECONDS,
    ORDER_UPDATE,
    POSITION_UPDATE,
)
from backpack_sandbox.market.events import OrderEvent
from backpack_sandbox.market.matching import MatchingEngine
from backpack_sandbox.market.perpetuals import mid_ticks
from backpack_sandbox.streams.account_frames import balance_frame, position_frame
from backpack_sandbox.streams.klines import Emit
from backpack_sandbox.streams.names import private_stream


class AccountSession(Protocol):
    """A socket that an account signed for."""

    @property
    def account(self) -> str | None:
        """Whose it is; None before the first good signature."""
        ...

    def offer(self, stream: str, symbol: str, message: bytes) -> None:
        """Queue the text of a data frame."""
        ...


class AccountStreams:
    """Tells each account of every change of its own, and a newcomer of every open position.

    `emit` takes keys of `streams.names`. `clock` is unix seconds. Balances have no first sight:
    clients read `/capital`.
    """

    def __init__(
        self,
        accounts: Accounts,
        engines: Mapping[str, MatchingEngine],
        emit: Emit,
        clock: Callable[[], float],
    ) -> None:
        self.accounts = accounts
        self._engines = engines
        self._emit = emit
        self._clock = clock
        self._watched: set[str] = set()

    def watch(self, stream: str, has_listeners: bool) -> None:
        """Start or stop a stream by its key; those of other kinds do no harm here."""
        if has_listeners:
            self._watched.add(stream)
        else:
            self._watched.discard(stream)

    def follow(
        self, event: OrderEvent, frames: tuple[bytes, bytes], event_us: int, engine_us: int
    ) -> None:
        """Tell of an order by its two `frames`, change the accounts, and tell what changed."""
        account, symbol = event.order.request.account, event.symbol
        for stream, frame in zip((ORDER_UPDATE, f"{ORDER_UPDATE}.{symbol}"), frames, strict=True):
            self._emit(private_stream(account, stream), symbol, frame)
        for change in self.accounts.apply(event, engine_us):
            if isinstance(change, Balance):
                self._tell_balance(account, change, event_us, engine_us)
            else:
                self._tell_position(account, change, event_us, engine_us)

    def pay_funding(
        self, account: str, payment: FundingPayment, event_us: int, engine_us: int
    ) -> None:
        """Settle a funding payment and tell the new balance."""
        balance = self.accounts.pay_funding(account, payment)
        self._tell_balance(account, balance, event_us, engine_us)

    def greet(self, session: AccountSession, streams: Iterable[str]) -> None:
        """Show a socket the open positions of the position streams that it has just joined."""
        now_us = int(self._clock() * MICROSECONDS)
        if session.account is None:
            return
        for stream in streams:
            kind, wanted = _scope(stream)
            if kind != POSITION_UPDATE:
                continue
            for position in self.accounts[session.account].positions():
                if wanted in {"", position.symbol}:
                    frame = self._frame(stream, position, "", now_us, now_us)
                    session.offer(stream, position.symbol, frame)

    def mark(self, position: Position) -> Decimal:
        """The middle of the market's book, or the entry while there is none."""
        engine = self._engines[position.symbol]
        price = mid_ticks(engine.book)
        return position.entry_price if price is None else engine.market.price_grid.value(price)

    def _tell_balance(self, account: str, balance: Balance, event_us: int, engine_us: int) -> None:
        key = private_stream(account, BALANCE_UPDATE)
        if key in self._watched:
            self._emit(key, "", balance_frame(balance, event_us, engine_us))

    def _tell_position(
        self, account: str, change: PositionChange, event_us: int, engine_us: int
    ) -> None:
        symbol = change.position.symbol
        for stream in (POSITION_UPDATE, f"{POSITION_UPDATE}.{symbol}"):
            key = private_stream(account, stream)
            if key in self._watched:
                frame = self._frame(stream, change.position, change.kind, event_us, engine_us)
                self._emit(key, symbol, frame)

    def _frame(
        self, stream: str, position: Position, kind: str, event_us: int, engine_us: int
    ) -> bytes:
        return position_frame(
            stream,
            position,
            self.mark(position),
            kind=kind,
            event_us=event_us,
            engine_us=engine_us,
        )


def _scope(stream: str) -> tuple[str, str]:
    """(stream without its market, the market or nothing)."""
    account, _, rest = stream.partition(".")
    kind, _, symbol = rest.partition(".")
    return f"{account}.{kind}", symbol
