"""A channel as one process reaches it, and what may go wrong there."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from feed_migration.notices.notice import Kind, Notice


class Send(Protocol):
    """Delivers one notice within seconds, or raises."""

    def __call__(self, notice: Notice, /) -> None:
        """Deliver it."""


def _at_once() -> None:
    return


@dataclass(frozen=True, kw_only=True)
class Outlet:
    """A channel as one process reaches it.

    `ready` does what takes long and tells nobody anything, such as imports, before a claim.
    """

    name: str
    kinds: frozenset[Kind]
    send: Send
    ready: Callable[[], object] = _at_once


class SendFailed(Exception):  # noqa: N818 - reads as the fact it states
    """What was sent was not taken; the message is fit for logs, without addresses."""


def describe(error: BaseException) -> str:
    """Return what went wrong in words that hold no secret: a webhook's URL is one."""
    if isinstance(error, SendFailed):
        return str(error)
    # the text of an exception may quote the URL; its kind, and a status, tell enough
    status = re.search(r"(?<![\w.])[45]\d\d(?!\w)", str(error))
    return f"{type(error).__name__}{f', status {status.group()}' if status else ''}"
