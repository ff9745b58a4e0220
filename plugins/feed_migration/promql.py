"""PromQL text from values: nothing that comes from outside reaches a query unescaped."""

import re
from collections.abc import Mapping

from feed_migration.errors import UsageError
from feed_migration.model import Criterion

_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_VARIANT = re.compile(r"""variant\s*=\s*(["'])(native|ccxt)\1""")
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def quote(value: str) -> str:
    r"""A PromQL string literal: `\`, `"` and newline escaped, so that it cannot end early."""
    return f'"{value.translate(_ESCAPES)}"'


def selector(metric: str, labels: Mapping[str, str]) -> str:
    """An instant selector with exact matchers; raises UsageError on an impossible name."""
    if not _METRIC.fullmatch(metric):
        raise UsageError(f"{metric!r} is no metric name", "letters, digits, _ and : only")
    for name in labels:
        if not _LABEL.fullmatch(name):
            raise UsageError(f"{name!r} is no label name", "letters, digits and _ only")
    matchers = ",".join(f"{name}={quote(value)}" for name, value in sorted(labels.items()))
    return f"{metric}{{{matchers}}}"


def variant_of(query: str) -> str:
    """The feed variant that a query selects; `native` where it names none."""
    found = _VARIANT.search(query)
    return found[2] if found else "native"


def freshness_query(criterion: Criterion) -> str:
    """The query for the age in seconds of the newest message of the slowest instance.

    It reads the feed's own timestamps: a Prometheus sample may be fresh while the feed is dead.
    """
    if criterion.freshness_query is not None:
        return criterion.freshness_query
    newest = selector(
        "backpack_feed_last_message_timestamp_seconds", {"variant": variant_of(criterion.query)}
    )
    return f"time() - min(max by (instance_id) ({newest}))"
