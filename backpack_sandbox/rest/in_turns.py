"""Long answers in small pieces: the markets and the other clients need not wait for them."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from itertools import batched
from typing import Final

AT_A_TIME: Final = 1000


async def in_turns[T](items: Iterable[T]) -> AsyncIterator[tuple[T, ...]]:
    """The items in batches; the venue goes on between them."""
    for batch in batched(items, AT_A_TIME, strict=False):
        yield batch
        await asyncio.sleep(0)
