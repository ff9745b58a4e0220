"""How a channel plugs into the session: readers turn messages into publications."""

from collections.abc import Callable, Iterable
from typing import Any

from backpack_feed.errors import FeedError

type Publication = tuple[str, Any, float | None]
"""cryptofeed's channel, the event for its callbacks, and its receipt in unix seconds.

None stands for the receipt of the frame that is being read, so that a book needs one publication
for all its life.
"""

type Reader = Callable[[str, Any, float], Iterable[Publication]]
"""(stream name, message, receipt in unix seconds) → what to publish, often nothing or one event.

Readers are synchronous and are called once per frame.
"""

type Readers = dict[type, Reader]
"""Message class → the one reader of its frames."""


class UnknownSymbolError(FeedError):
    """A frame of a market that was not subscribed; it is counted and ignored."""

    def __init__(self, symbol: str) -> None:
        super().__init__(f"symbol {symbol[:64]} was not subscribed")
        self.symbol = symbol[:64]
