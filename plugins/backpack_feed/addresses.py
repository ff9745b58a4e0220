"""What an address of the venue may look like."""

from urllib.parse import urlsplit


def is_address(url: str, scheme: str) -> bool:
    """Whether `url` is scheme://host[:port][/path], with a usable port and without a user name."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # an IPv6 address without its bracket, a port that is no number
        return False
    return (
        parts.scheme == scheme
        and bool(parts.hostname)
        and parts.username is None
        and port != 0
        and not any(c.isspace() or not c.isprintable() for c in url)
    )
