"""`{"cases": […]}` with `client_sends`: what the venue's reactions do to the feed's session."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from backpack_feed.errors import DecodeError
from backpack_feed.replay import virtual_time
from backpack_feed.replay.case_player import Played, play
from backpack_feed.replay.case_streams import Case, Item
from backpack_feed.replay.report import Line, Mismatch, compare, table
from backpack_feed.wire.decode import decode
from backpack_feed.wire.messages import ErrorMessage

SETTLE_SECONDS: Final = 5.0


class ControlCase(msgspec.Struct):
    """A frame of a client, the venue's replies to it, and whether the socket survives them."""

    name: str
    client_sends: Any
    server_replies: list[Any] = []
    reply_raw: list[str] = []
    socket_stays_open: bool | None = None
    note: str = ""


class ControlFile(msgspec.Struct):
    """The whole file; `keepalive` describes the venue's pings."""

    cases: list[ControlCase]
    keepalive: dict[str, Any] = {}


def replay(file: ControlFile) -> Iterator[Line]:
    """Let the session receive every reply."""
    for case in file.cases:
        raws = case.reply_raw or [msgspec.json.encode(r).decode() for r in case.server_replies]
        sent = case.client_sends
        text = sent if isinstance(sent, str) else msgspec.json.encode(sent).decode()
        items = [Item(transport="client_text", raw=text)]
        items += [Item(transport="ws_text", raw=raw) for raw in raws]
        played = virtual_time.run(play(Case(name=case.name, input=items), SETTLE_SECONDS))
        yield _line(case, raws, played)


def _line(case: ControlCase, raws: list[str], played: Played) -> Line:
    place = f"case {case.name}"
    replies = [_reply(raw) for raw in raws]
    stays_open = played.sockets == 1
    mismatches: tuple[Mismatch, ...] = compare(place, "replies", _errors(case), replies)
    if case.socket_stays_open is not None:
        mismatches += compare(place, "socket_stays_open", case.socket_stays_open, stays_open)
    moved = {k: v for k, v in played.counters.items() if isinstance(v, int)}
    shown = ", ".join(f"{reply['code']} {reply['message']}" for reply in replies) or "silence"
    effect = " ".join(f"{name}+{count}" for name, count in moved.items()) or "nothing changes"
    text = table((case.name, 34), (shown, 26), (effect, 20), (f"socket {played.socket}", 0))
    rows = [text] + [f"    {note}" for note in (*played.notes, case.note) if note]
    record = {
        "case": case.name,
        "replies": replies,
        "counters": moved,
        "socket_stays_open": stays_open,
        "notes": played.notes,
    }
    return Line("\n".join(rows), record, mismatches)


def _reply(raw: str) -> dict[str, Any]:
    try:
        message = decode(raw).data
    except DecodeError as error:
        return {"code": None, "message": str(error)}
    if isinstance(message, ErrorMessage):
        return {"code": message.code, "message": message.message}
    return {"code": None, "message": type(message).__name__}


def _errors(case: ControlCase) -> list[Any]:
    """Return the parsed replies of the file; a reply that is no error is compared as a whole."""
    return [
        reply.get("error", reply) if isinstance(reply, dict) else reply
        for reply in case.server_replies
    ]
