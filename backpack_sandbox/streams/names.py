"""Names of streams, and the keys under which the fan-out knows them.

A private stream is another one for each account: its key is the account, a NUL and the name. The
key of a public stream is its name.
"""

from typing import Final

from backpack_sandbox.constants import DEPTH_WINDOWS_MS, PRIVATE_PREFIX

OWNER_MARK: Final = "\0"
"""Between an account and its stream; JSON text of a client could hold it, so names with it are
refused before they get here."""


def is_private(stream: str) -> bool:
    """The stream of this name belongs to an account."""
    return stream.startswith(PRIVATE_PREFIX)


def private_stream(account: str, stream: str) -> str:
    """The fan-out's key of an account's stream."""
    return f"{account}{OWNER_MARK}{stream}"


def stream_key(account: str | None, stream: str) -> str:
    """The fan-out's key of any stream, for a socket that signed as `account` or not at all."""
    return private_stream(account or "", stream) if is_private(stream) else stream


def stream_name(key: str) -> str:
    """The name that a client knows, from the fan-out's key."""
    return key.rpartition(OWNER_MARK)[2]


def depth_window(stream: str) -> tuple[str, int] | None:
    """(symbol, window in ms) of an aggregated depth stream; None for every other stream."""
    kind, _, rest = stream.partition(".")
    window, _, symbol = rest.partition(".")
    if kind != "depth" or window not in DEPTH_WINDOWS_MS:
        return None
    return symbol, DEPTH_WINDOWS_MS[window]
