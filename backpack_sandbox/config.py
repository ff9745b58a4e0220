"""Settings of one sandbox."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class SandboxConfig:
    """How the venue runs. Rates are per market and second; `port` 0 takes any free one.

    `first_ping_seconds` is the range in which a socket's first protocol ping falls. With
    `trades_first` a match sends its trades before its depth frames: the real order is not known.
    `paused` starts the market at a standstill, for `Sandbox.advance`.
    """

    state_dir: Path
    host: str = "127.0.0.1"
    port: int = 0
    seed: int = 7
    rate: float = 10.0
    trades_per_second: float = 1.0
    faults: tuple[str, ...] = ()
    paused: bool = False
    trades_first: bool = False
    tick_seconds: float = 0.02
    ping_interval_seconds: float = 60.0
    first_ping_seconds: tuple[float, float] = (5.0, 38.0)
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
    def ledger_file(self) -> Path:
        """The ground truth, JSON lines."""
        return self.state_dir / "ledger.jsonl"
