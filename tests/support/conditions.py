"""Wait on conditions: tests never sleep for a guessed time."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any

POLL_SECONDS = 0.02
# a machine may stand still for seconds; who waits for a condition loses nothing by waiting
PATIENCE_SECONDS = 30.0


async def eventually(
    predicate: Callable[[], Any | Awaitable[Any]],
    timeout_seconds: float = PATIENCE_SECONDS,
    describe: Callable[[], object] | None = None,
) -> Any:
    """Return the first truthy value of `predicate` (plain or async); fail after the timeout."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        value = predicate()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(_message(predicate, timeout_seconds, describe))
        await asyncio.sleep(POLL_SECONDS)


def eventually_sync(
    predicate: Callable[[], Any],
    timeout_seconds: float = PATIENCE_SECONDS,
    describe: Callable[[], object] | None = None,
) -> Any:
    """`eventually` for code without a loop."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(_message(predicate, timeout_seconds, describe))
        time.sleep(POLL_SECONDS)


def _message(
    predicate: Callable[[], Any], timeout_seconds: float, describe: Callable[[], object] | None
) -> str:
    seen = f": {describe()}" if describe else ""
    return f"not true within {timeout_seconds} s: {inspect.getsource(predicate).strip()}{seen}"
