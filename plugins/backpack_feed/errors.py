"""Errors that say what the caller must do.

FeedError
├── ConfigError           fix the configuration, then start again
├── RetryableError        try again after `retry_after_seconds`
├── DecodeError           drop this frame, keep the socket
└── FatalError            trying again cannot help
    ├── AuthenticationError   the venue refused the signature
    └── VenueError            the venue refused the request
"""

from backpack_feed import refusal


class FeedError(Exception):
    """Base of everything the native feed raises on purpose."""


class ConfigError(FeedError, refusal.ConfigError):
    """A setting or a file is wrong; the message names it and the remedy."""


class RetryableError(FeedError):
    """The request may succeed later: 429, 5xx, timeouts, broken connections."""

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class DecodeError(FeedError):
    """A frame or body is not what the protocol promises.

    `kind` is one of a few fixed words, fit for a metric label. `stream` is the stream that the
    frame claims to belong to, as far as that could be read.
    """

    def __init__(self, kind: str, detail: str, stream: str | None = None) -> None:
        super().__init__(f"{kind}: {detail}" + (f" in {stream}" if stream else ""))
        self.kind = kind
        self.stream = stream


class FatalError(FeedError):
    """Trying again cannot help."""


class VenueError(FatalError):
    """The venue refused a request; `code` is its ApiErrorCode, empty for plain text answers."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"venue answered {status} {code or 'without a code'}: {message}")
        self.status = status
        self.code = code
        self.message = message


class AuthenticationError(VenueError):
    """The venue refused the signature: check the key pair and the clock (protocol section 7)."""
