"""Settings of one sandbox."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from backpack_sandbox.errors import SandboxError
from backpack_sandbox.market.catalog import PROFILES, Profile

PORT_MAX: Final = 65535


def _is_number(value: Any) -> bool:
    is_one = isinstance(value, int | float) and not isinstance(value, bool)
    return is_one and 0 <= value < float("inf")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


type _Rule = tuple[tuple[str, ...], Callable[[Any], bool], str]
_RULES: Final[tuple[_Rule, ...]] = (
    (("state_dir",), lambda value: isinstance(value, Path), "a Path"),
    (("profile",), lambda value: value in PROFILES, f"one of {', '.join(PROFILES)}"),
    (
        ("port",),
        lambda value: _is_whole(value) and 0 <= value <= PORT_MAX,
        f"a whole number from 0 to {PORT_MAX}",
    ),
    (("seed",), _is_whole, "a whole number"),
    (("faults",), lambda value: isinstance(value, tuple | list), "a tuple of names"),
    (
        ("rate", "trades_per_second", "tick_seconds", "ping_interval_seconds"),
        lambda value: _is_number(value) and value > 0,
        "a number above 0",
    ),
    (
        ("requests_per_minute", "history_requests_per_minute", "checkpoint_bytes"),
        lambda value: _is_whole(value) and value > 0,
        "a whole number above 0",
    ),
    (("taker_delay_seconds",), _is_number, "a number of at least 0"),
    (
        ("first_ping_seconds",),
        lambda value: all(map(_is_number, value)) and sorted(value) == list(value),
        "(earliest, latest) in seconds",
    ),
)
"""Fields, what is good, and that in words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SandboxConfig:
    """How the venue runs. Rates are per market and second; `port` 0 takes any free one.

    `first_ping_seconds` is the range in which a socket's first protocol ping falls. With
    `trades_first` a match sends its trades before its depth frames: the real order is not known.
    An order that may take waits `taker_delay_seconds`. The two limits count an account's signed
    requests; with `cancel_accepted` a DELETE answers 202 and no body in place of the orders.
    `profile` names the markets that are listed; with `cdn` REST answers come from a cache as long
    as their headers say.
    A restart after a kill reads about `checkpoint_bytes` of the ledger.
    `scenario`, a name or a file, is played from the start.
    `paused` starts the market at a standstill, for `Sandbox.advance`.
    """

    state_dir: Path
    host: str = "127.0.0.1"
    port: int = 0
    profile: Profile = "small"
    seed: int = 7
    rate: float = 10.0
    trades_per_second: float = 1.0
    faults: tuple[str, ...] = ()
    scenario: str = ""
    paused: bool = False
    trades_first: bool = False
    tick_seconds: float = 0.02
    ping_interval_seconds: float = 60.0
    first_ping_seconds: tuple[float, float] = (5.0, 38.0)
    taker_delay_seconds: float = 0.1
    requests_per_minute: int = 2000
    history_requests_per_minute: int = 30
    cancel_accepted: bool = False
    cdn: bool = False
    checkpoint_bytes: int = 64 * 1024 * 1024
    clock: Callable[[], float] = time.time  # noqa: TID251 - the default of the argument

    def __post_init__(self) -> None:
        """SandboxError for a setting that cannot be."""
        for names, is_good, must_be in _RULES:
            for name in names:
                value = getattr(self, name)
                if not is_good(value):
                    raise SandboxError(f"SandboxConfig: {name} was {value!r}: must be {must_be}")

    @property
    def ca_file(self) -> Path:
        """The certificate that clients must trust."""
        return self.state_dir / "ca.pem"

    @property
    def ca_key_file(self) -> Path:
        """The authority's own key, mode 0600."""
        return self.state_dir / "ca.key"

    @property
    def api_key_file(self) -> Path:
        """`{"api_key","private_key"}` of the house account, mode 0600."""
        return self.state_dir / "api_key.json"

    @property
    def trader_key_file(self) -> Path:
        """The same of the trader's account, for clients that place orders."""
        return self.state_dir / "trader_api_key.json"

    @property
    def ledger_file(self) -> Path:
        """The ground truth, JSON lines."""
        return self.state_dir / "ledger.jsonl"

    @property
    def truth_file(self) -> Path:
        """What follows from the ledger, quick to ask; made anew when it is missing."""
        return self.state_dir / "truth.sqlite"
