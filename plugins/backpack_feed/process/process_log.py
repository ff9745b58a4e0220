"""One JSON object per line on stderr; no secret and no control character reaches it."""

import json
import logging
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO
from urllib.parse import unquote, urlsplit

import msgspec

MAX_MESSAGE_LENGTH = 2_000
REDACTED = "[redacted]"
_NOISY = ("ccxt", "cryptofeed", "websockets", "picows", "aiohttp.access")


class JsonLines(logging.Formatter):
    """`{"at","level","logger","message"}`; the venue's text is escaped and cut."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self._secrets = tuple(secret for secret in secrets if secret)

    def format(self, record: logging.LogRecord) -> str:
        """Return one line whatever the message holds."""
        message = record.getMessage()
        if record.exc_info and record.exc_info[0] is not None:
            message += f": {self.formatException(record.exc_info)}"
        for secret in self._secrets:
            message = message.replace(secret, REDACTED)
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        return json.dumps(
            {
                "at": at,
                "level": record.levelname.lower(),
                "logger": record.name,
                "message": message[:MAX_MESSAGE_LENGTH],
            }
        )


def start_log(secrets: Iterable[str] = (), stream: TextIO = sys.stderr) -> None:
    """Send the log of the whole process to `stream`; libraries only from warnings upwards."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines(secrets))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)


def secrets_of(credentials_file: Path | None, proxy: str | None = None) -> list[str]:
    """Return what the log must leave out: strings of the credentials, the password of `proxy`."""
    password = urlsplit(proxy).password if proxy else None
    return [*_credentials(credentials_file), *([password, unquote(password)] if password else [])]


def _credentials(credentials_file: Path | None) -> list[str]:
    if credentials_file is None:
        return []
    try:
        content = msgspec.json.decode(credentials_file.read_bytes(), type=dict[str, object])
    except (OSError, msgspec.MsgspecError):
        return []  # whoever uses the file reports what is wrong with it
    return [value for value in content.values() if isinstance(value, str)]
