"""What an address of the venue, or of a proxy on the way to it, may look like."""

from urllib.parse import SplitResult, urlsplit


def is_address(url: str, scheme: str) -> bool:
    """Whether `url` is scheme://host[:port][/path], with a usable port and without a user name."""
    parts = _parts(url, scheme)
    return parts is not None and parts.username is None


def is_proxy(url: str) -> bool:
    """Whether `url` is http://[user:password@]host[:port], with a usable port and no path."""
    parts = _parts(url, "http")
    return parts is not None and parts.path in {"", "/"} and not parts.query


def _parts(url: str, scheme: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # an IPv6 address without its bracket, a port that is no number
        return None
    if any(c.isspace() or not c.isprintable() for c in url):
        return None
    return parts if parts.scheme == scheme and parts.hostname and port != 0 else None
