"""The last delivered trade id per market, for sinks that cannot be read back like a tape.

One small file per market, replaced atomically. An id is stored only after every sink has taken the
trade off its queue, so a kill -9 repeats trades at such a sink but never loses one.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

from cryptofeed.types import Trade

from backpack_feed.refusal import SinkError


class Checkpoint:
    """Trade ids on their way through queued sinks, and the files of those that arrived.

    `taken` answers how many trades every sink has disposed of since the process started.
    """

    def __init__(self, directory: Path, taken: Callable[[], int]) -> None:
        self._directory = directory
        self._taken = taken
        self._offered = 0
        self._on_the_way: deque[tuple[int, str, int]] = deque()

    def last_ids(self, symbols: Iterable[str]) -> dict[str, int]:
        """Read the stored ids; a missing file means no checkpoint, a damaged one is an error."""
        found = {}
        for symbol in symbols:
            path = self._path(symbol)
            try:
                found[symbol] = int(path.read_text())
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                raise SinkError(
                    f"{path}: holds no trade id: write the last delivered id, or remove the file"
                ) from error
        return found

    async def trade(self, trade: Trade, _receipt_timestamp: float) -> None:
        """Remember that this trade was handed to every sink (a cryptofeed callback)."""
        self._offered += 1
        trade_id = int(trade.id or 0)
        if trade_id > 0:
            self._on_the_way.append((self._offered, trade.symbol, trade_id))

    def flush(self) -> None:
        """Store the newest id of each market that every sink has taken."""
        taken, arrived = self._taken(), {}
        while self._on_the_way and self._on_the_way[0][0] <= taken:
            _, symbol, trade_id = self._on_the_way.popleft()
            arrived[symbol] = trade_id
        for symbol, trade_id in arrived.items():
            self._store(self._path(symbol), trade_id)

    def _path(self, symbol: str) -> Path:
        return self._directory / f"{quote(symbol, safe='')}.trade_id"

    def _store(self, path: Path, trade_id: int) -> None:
        draft = path.with_suffix(".draft")
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            with draft.open("w") as file:
                file.write(f"{trade_id}\n")
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except OSError as error:
            raise SinkError(f"{path}: {error.strerror}: free space, then restart") from error


def least_taken(counts: Sequence[Callable[[], int]]) -> Callable[[], int]:
    """Return the count of the slowest sink."""
    return lambda: min((count() for count in counts), default=0)
