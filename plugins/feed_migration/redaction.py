"""Log lines fit for a document: no secrets, no control characters, no endless lines. Pure."""

import re
from collections.abc import Callable

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
    re.compile(r"(?P<keep>://)[^\s/@:]*:[^\s/@]+(?=@)"),
    # JWT and hex of 20 bytes and more
    re.compile(r"(?P<keep>)\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9._-]+"),
    re.compile(r"(?P<keep>)\b[0-9a-fA-F]{40,}\b"),
)
# base64 of exactly 64 or 32 bytes, both alphabets, padded or not: signatures, keys, seeds
_EXACT_KEY = re.compile(
    r"(?<![A-Za-z0-9+_-])(?:[A-Za-z0-9+/_-]{86}(?:==)?|[A-Za-z0-9+/_-]{43}=?)(?![A-Za-z0-9+/_=-])"
)
_LONG_RUN = re.compile(r"(?:\./)?(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{40,}={0,2}")
_PATH_PART = 20
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def redact(line: str) -> str:
    """Return `line` without what looks like a secret, without control characters, cut to size."""
    line = _CONTROL.sub("", line.rstrip("\r\n"))
    for pattern in _PATTERNS:
        line = pattern.sub(lambda match: f"{match.group('keep')}{REDACTED}", line)
    line = _EXACT_KEY.sub(lambda match: _unless(_is_one_case, match.group()), line)
    line = _LONG_RUN.sub(lambda match: _unless(_is_words_or_path, match.group()), line)
    return line if len(line) <= MAX_CHARACTERS else f"{line[:MAX_CHARACTERS]}…"


def _unless(harmless: Callable[[str], bool], found: str) -> str:
    return found if harmless(found) else REDACTED


def _is_one_case(found: str) -> bool:
    """A metric or constant may have a key's length; a key of one case has odds below 1e-9."""
    return found in {found.lower(), found.upper()}


def _is_words_or_path(found: str) -> bool:
    """A long secret has digits and both cases; of what has all three, only a path may stay."""
    if _is_one_case(found) or not any(character.isdigit() for character in found):
        return True
    parts = re.split(r"[/_.-]", found)
    short = max(len(part) for part in parts) < _PATH_PART and "+" not in found
    return short and found.startswith(("/", "./"))
