"""Settings of one sandbox."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from backpack_sandbox.market.catalog import Profile


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
