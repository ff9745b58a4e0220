"""Where a venue stood at one place of its ledger, so that a restart reads only what follows."""

import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from backpack_sandbox.account.accounts import Accounts
from backpack_sandbox.account.snapshot import dump_accounts
from backpack_sandbox.market.matching import MarketState, MatchingEngine
from backpack_sandbox.truth.ledger import Ledger

TAIL_BYTES: Final = 4096


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """What a full fold of the ledger's first `ledger_bytes` would give.

    `tail_crc` is of the last bytes before that place: a checkpoint of another ledger is none.
    """

    ledger_bytes: int
    tail_crc: int
    states: dict[str, MarketState]
    accounts: bytes
    engine_us: int


class Checkpointer:
    """Writes a checkpoint when the ledger asks for one; `engine_us` tells the newest engine time.

    Everything the engines did must be published by then; when it is not, because publishing broke,
    the checkpoint before stays the last one.
    """

    def __init__(
        self,
        ledger: Ledger,
        engines: Mapping[str, MatchingEngine],
        accounts: Accounts,
        engine_us: Callable[[], int],
    ) -> None:
        self._ledger = ledger
        self._engines = engines
        self._accounts = accounts
        self._engine_us = engine_us
        for symbol, engine in engines.items():
            state = engine.state()
            ledger.books.begin(symbol, state.bids, state.asks, state.last_update_id)
        ledger.on_growth = self.write

    def write(self) -> None:
        """Store where everything stands now."""
        if not all(map(self._published, self._engines)):
            return
        ledger = self._ledger
        checkpoint = Checkpoint(
            ledger_bytes=ledger.size_bytes,
            tail_crc=_tail_crc(ledger.path, ledger.size_bytes),
            states={symbol: engine.state() for symbol, engine in self._engines.items()},
            accounts=dump_accounts(self._accounts, self._accounts.history),
            engine_us=self._engine_us(),
        )
        ledger.checkpoint(msgspec.msgpack.encode(checkpoint))

    def _published(self, symbol: str) -> bool:
        engine = self._engines[symbol]
        _, update_id = self._ledger.books.span(symbol)
        unpublished = self._ledger.count_trades(symbol, engine.last_trade_id + 1)
        newest = next(iter(self._ledger.newest_trades(symbol, 1)), None)
        trades_agree = newest is None or newest.event.trade_id == engine.last_trade_id
        return update_id == engine.last_update_id and trades_agree and not unpublished


def fitting_checkpoint(content: bytes | None, ledger_file: Path) -> Checkpoint | None:
    """The checkpoint in `content` when it is one of this ledger; None otherwise."""
    if content is None or not ledger_file.exists():
        return None
    try:
        checkpoint = msgspec.msgpack.decode(content, type=Checkpoint)
    except msgspec.DecodeError:  # of another version of the sandbox
        return None
    size = ledger_file.stat().st_size
    fits = 0 < checkpoint.ledger_bytes <= size
    if fits and _tail_crc(ledger_file, checkpoint.ledger_bytes) == checkpoint.tail_crc:
        return checkpoint
    return None


def _tail_crc(path: Path, end: int) -> int:
    start = max(0, end - TAIL_BYTES)
    with path.open("rb") as file:
        file.seek(start)
        return zlib.crc32(file.read(end - start))
