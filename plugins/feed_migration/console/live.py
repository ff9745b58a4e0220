"""The board as server-sent events: each section as an event of its name, whenever it changes.

`beat` comes at least every five seconds with the server's time, so that a page can tell a quiet
migration from a dead connection.
"""

import json
import time
from collections.abc import AsyncIterator, Callable

from sse_starlette import EventSourceResponse, ServerSentEvent

from feed_migration.console.board import Board

BEAT_SECONDS = 5.0
# A page comes back after that, and with it its login is checked anew
STREAM_SECONDS = 300.0
RETRY_MILLISECONDS = 1000


def live_response(board: Board) -> EventSourceResponse:
    """Return the stream of one page; it ends with the connection, or with the server."""
    # the library's own ping would be a comment, which no page sees
    return EventSourceResponse(live_events(board), ping=3600)


async def live_events(
    board: Board,
    *,
    clock: Callable[[], float] = time.time,  # noqa: TID251 - the edge of the process
    monotonic: Callable[[], float] = time.monotonic,
) -> AsyncIterator[ServerSentEvent]:
    """Yield all sections, then those that change."""
    until, version = monotonic() + STREAM_SECONDS, 0
    yield _event("beat", json.dumps({"now": clock()}))
    with board.watched() as watcher:
        while monotonic() < until:
            sections = board.sections(version)
            for name, section in sorted(sections.items(), key=lambda item: item[1].version):
                version = section.version
                yield _event(name, section.text)
            if not await watcher.wait(BEAT_SECONDS):
                yield _event("beat", json.dumps({"now": clock()}))


def _event(name: str, text: str) -> ServerSentEvent:
    return ServerSentEvent(data=text, event=name, retry=RETRY_MILLISECONDS, sep="\n")
