"""Errors that say what the caller must do.

FeedError
├── ConfigError               fix the configuration, then start again
├── RetryableError            try again after `retry_after_seconds`
│   ├── RateLimitedError          too many requests: 429, or our own pause that follows one
│   ├── UnavailableError          the venue is overloaded or in maintenance: 5xx
│   ├── BlockedError              the edge in front of the venue let nothing through
│   ├── UnreachableError          no whole answer came back: refused, reset, timed out
│   │   ├── ConnectionLostError         it broke after it was made
│   │   └── UntrustedCertificateError   not the venue, or ca_file is wrong
│   └── StaleAnswerError          a cache answered, too long ago
├── DecodeError               drop this frame, keep the socket
└── FatalError                trying again cannot help
    └── VenueError                the venue refused the request
        ├── AuthenticationError       ... because of its signature
        ├── NotFoundError             ... because there is no such thing, or its market is closed
        └── NoContentError            the venue has nothing to say about it
"""

from backpack_feed import refusal

STREAM_LIMIT = 64
"""Characters of a stream's name that an error tells; the venue could invent longer ones."""


class FeedError(Exception):
    """Base of everything the native feed raises on purpose."""


class ConfigError(FeedError, refusal.ConfigError):
    """A setting or a file is wrong; the message names it and the remedy."""


class RetryableError(FeedError):
    """The request may succeed later; `retry_after_seconds` is what the venue asked for."""

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class RateLimitedError(RetryableError):
    """429, or a request that was not sent because the venue named a later time."""


class UnavailableError(RetryableError):
    """5xx: the venue is overloaded, in maintenance or broken."""


class BlockedError(RetryableError):
    """An HTML 403 of the edge: this address is blocked, and asking at once makes it worse."""


class UnreachableError(RetryableError):
    """No whole answer: unresolved, refused, reset, cut short or timed out."""


class ConnectionLostError(UnreachableError):
    """A connection broke before the answer was whole, as reused ones do now and then."""


class UntrustedCertificateError(UnreachableError):
    """Whoever answered has no certificate that is trusted here."""


class StaleAnswerError(RetryableError):
    """A cache answered, and so did it when it was told not to; `age_seconds` is its `Age`."""

    def __init__(self, message: str, age_seconds: float) -> None:
        super().__init__(message)
        self.age_seconds = age_seconds


class DecodeError(FeedError):
    """A frame or body is not what the protocol promises.

    `kind` is one of a few fixed words, fit for a metric label. `stream` is the stream that the
    frame claims to belong to, as far as that could be read.
    """

    def __init__(self, kind: str, detail: str, stream: str | None = None) -> None:
        super().__init__(f"{kind}: {detail}" + (f" in {stream[:STREAM_LIMIT]!r}" if stream else ""))
        self.kind = kind
        self.stream = stream


class FatalError(FeedError):
    """Trying again cannot help."""


class VenueError(FatalError):
    """The venue refused a request; `code` is its ApiErrorCode, empty for plain text answers."""

    def __init__(self, status: int, code: str, message: str) -> None:
        said = f": {message}" if message else ""
        super().__init__(f"venue answered {status} {code or 'without a code'}{said}")
        self.status = status
        self.code = code
        self.message = message


class AuthenticationError(VenueError):
    """The venue refused the signature: check the key pair and the clock (protocol section 7)."""

    @property
    def blames_clock(self) -> bool:
        """Whether the time was refused: "Request has expired" or "Invalid timestamp"."""
        said = self.message.lower()
        return "expired" in said or "timestamp" in said


class NotFoundError(VenueError):
    """404: an unknown path, or a market that is closed (protocol section 4.7)."""


class NoContentError(VenueError):
    """204: the venue has no data about what was asked for."""
