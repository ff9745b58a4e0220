"""Log lines fit for a document: no secrets, no control characters, no endless lines. Pure."""

import re

MAX_CHARACTERS = 400
REDACTED = "[redacted]"

_PATTERNS = (
    # key: value and key=value, quoted or not, for keys that name a secret
    re.compile(
        r"(?i)(?P<keep>[\"']?[\w-]*(?:secret|password|passwd|token|signature|private_?key|seed|"
        r"api_?key|authorization|x-api-key)[\w-]*[\"']?\s*[:=]\s*)"
        r"(?:Bearer\s+|Basic\s+)?[\"']?[^\s\"',;}]+"
    ),
    re.compile(r"(?P<keep>(?i:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}"),
    # user:password@ of a URL
    re.compile(r"(?P<keep>://)[^\s/@:]+:[^\s/@]+(?=@)"),
    # JWT, hex and base64 of 32 bytes and more: keys, seeds, signatures
    re.compile(r"(?P<keep>)\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9._-]+"),
    re.compile(r"(?P<keep>)\b[0-9a-fA-F]{40,}\b"),
    re.compile(r"(?P<keep>)(?<![A-Za-z0-9+_-])[A-Za-z0-9+_-][A-Za-z0-9+/_-]{39,}={0,2}"),
)
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def redact(line: str) -> str:
    """Return `line` without what looks like a secret, without control characters, cut to size."""
    line = _CONTROL.sub("", line.rstrip("\r\n"))
    for pattern in _PATTERNS:
        line = pattern.sub(_replace, line)
    return line if len(line) <= MAX_CHARACTERS else f"{line[:MAX_CHARACTERS]}…"


def _replace(match: re.Match[str]) -> str:
    # a path of this machine is long too, and it is what the reader needs
    found = match.group(0)
    if not match.group("keep") and _looks_like_path_or_words(found):
        return found
    return f"{match.group('keep')}{REDACTED}"


def _looks_like_path_or_words(found: str) -> bool:
    """A secret of 40 characters has digits and both cases between its separators; names do not."""
    parts = re.split(r"[/_.-]", found)
    return max(len(part) for part in parts) < 20 and "+" not in found  # noqa: PLR2004
