"""The house account's private streams besides its orders: balances and positions."""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from backpack_sandbox.account.portfolio import Balance, Portfolio
from backpack_sandbox.account.positions import Position, PositionChange
from backpack_sandbox.constants import BALANCE_UPDATE, MICROSECONDS, POSITION_UPDATE
from backpack_sandbox.market.events import OrderEvent
from backpack_sandbox.market.matching import MatchingEngine
from backpack_sandbox.market.perpetuals import mid_ticks
from backpack_sandbox.sockets.session import Session
from backpack_sandbox.streams.account_frames import balance_frame, position_frame
from backpack_sandbox.streams.klines import Emit


class AccountStreams:
    """Tells of every change of the portfolio, and a newcomer of every open position.

    `clock` is unix seconds. Balances have no first sight: clients read `/capital`.
    """

    def __init__(
        self,
        portfolio: Portfolio,
        engines: Mapping[str, MatchingEngine],
        emit: Emit,
        clock: Callable[[], float],
    ) -> None:
        self.portfolio = portfolio
        self._engines = engines
        self._emit = emit
        self._clock = clock
        self._watched: set[str] = set()

    def watch(self, stream: str, has_listeners: bool) -> None:
        """Start or stop a stream; those of other kinds do no harm here."""
        if has_listeners:
            self._watched.add(stream)
        else:
            self._watched.discard(stream)

    def follow(self, event: OrderEvent, event_us: int, engine_us: int) -> None:
        """Change the portfolio by one order event, and tell what changed."""
        for change in self.portfolio.apply(event):
            if isinstance(change, Balance):
                if BALANCE_UPDATE in self._watched:
                    self._emit(BALANCE_UPDATE, "", balance_frame(change, event_us, engine_us))
            else:
                self._tell_position(change, event_us, engine_us)

    def greet(self, session: Session, streams: Iterable[str]) -> None:
        """Show a socket the open positions of the position streams that it has just joined."""
        now_us = int(self._clock() * MICROSECONDS)
        for stream in streams:
            kind, wanted = _scope(stream)
            if kind != POSITION_UPDATE:
                continue
            for position in self.portfolio.positions():
                if wanted in {"", position.symbol}:
                    frame = self._frame(stream, position, "", now_us, now_us)
                    session.offer(stream, position.symbol, frame)

    def mark(self, position: Position) -> Decimal:
        """The middle of the market's book, or the entry while there is none."""
        engine = self._engines[position.symbol]
        price = mid_ticks(engine.book)
        return position.entry_price if price is None else engine.market.price_grid.value(price)

    def _tell_position(self, change: PositionChange, event_us: int, engine_us: int) -> None:
        symbol = change.position.symbol
        for stream in (POSITION_UPDATE, f"{POSITION_UPDATE}.{symbol}"):
            if stream in self._watched:
                frame = self._frame(stream, change.position, change.kind, event_us, engine_us)
                self._emit(stream, symbol, frame)

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
