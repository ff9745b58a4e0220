"""Where ccxt finds the venue, and who it is there."""

import base64
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backpack_feed.wire.keys import parse_seed, read_credentials
from backpack_feed.wire.signing import Signer


@dataclass(frozen=True)
class Venue:
    """Where the venue is; `ca_file` replaces the public certificate authorities.

    `proxy` is an HTTP proxy for REST and websocket, `http://[user:password@]host:port`; `api_key`
    and `secret` are base64, for the streams of the account.
    """

    rest_url: str
    ws_url: str
    ca_file: Path | str | None = None
    proxy: str | None = field(default=None, repr=False)
    api_key: str | None = None
    secret: str | None = field(default=None, repr=False)

    def ccxt_config(self) -> dict[str, Any]:
        """Return what ccxt's constructor is told."""
        config: dict[str, Any] = {"options": {"watchOrderBook": {"snapshotDelay": 0}}}
        if self.ca_file is not None:
            config["cafile"] = str(self.ca_file)
        if self.secret is not None:
            config |= {"apiKey": self.api_key, "secret": self.secret}
        if self.proxy is not None:
            config |= {"httpsProxy": self.proxy, "wssProxy": self.proxy}
        return config


def ccxt_keys(credentials_file: Path | str | None) -> tuple[str | None, str | None]:
    """Return api key and secret as ccxt wants them: base64 of 32 bytes each.

    Raises `ConfigError` for a file that holds no key pair, without the secret.
    """
    if credentials_file is None:
        return None, None
    path = Path(credentials_file)
    seed = parse_seed(read_credentials(path)[1])
    return Signer.from_file(path).api_key, base64.b64encode(seed).decode()
