"""PromQL text from values: nothing that comes from outside reaches a query unescaped."""

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta

import promql_parser

from feed_migration.errors import UsageError
from feed_migration.model import Criterion

_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_VARIANT = re.compile(r"""variant\s*=\s*(["'])(native|ccxt)\1""")
_TEXT = re.compile(r"""\"(?:[^"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|`[^`]*`""")
_OPERATOR = re.compile(r"[-(+*/%^<>]|[=!]=|\b(?:and|or|unless|atan2)\b")
# Walking a parsed query takes time by the cube of its depth: minutes from a few hundred on.
_MAX_OPERATORS = 100
# Prometheus counts a range, a step and an offset in nanoseconds of 63 bits.
_LONGEST = timedelta(seconds=(2**63 - 1) / 1e9)
_TOO_LONG = "a range, step or offset is longer than Prometheus's 292 years"
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


def checked_query(text: str) -> str:
    """`text`, if Prometheus can parse it to a value per series; raises ValueError saying why not.

    Selectors with their label values, functions and types of arguments are all looked at.
    """
    if len(_OPERATOR.findall(_TEXT.sub("", text))) > _MAX_OPERATORS:
        raise ValueError(f"more than {_MAX_OPERATORS} brackets and operators; record it as a rule")
    tree = promql_parser.parse(text)
    if isinstance(tree, promql_parser.MatrixSelector | promql_parser.SubqueryExpr):
        raise ValueError("gives a range of samples; put rate(…), max_over_time(…) or so around it")  # noqa: TRY004
    if isinstance(tree, promql_parser.StringLiteral):
        raise ValueError("gives a text, not a value per series")  # noqa: TRY004
    if any(selector.matchers.or_matchers for selector in _selectors(tree)):
        raise ValueError("Prometheus has no `or` between label matchers")
    if any(abs(one) > _LONGEST for one in _durations(tree, "range", "step", "offset")):
        raise ValueError(_TOO_LONG)
    return text


def range_seconds(query: str) -> float:
    """The longest range of samples that `query` reads: 60 for `rate(x[1m])`, 0 for `x`."""
    ranges = _durations(promql_parser.parse(query), "range")
    return max((one.total_seconds() for one in ranges), default=0.0)


def _durations(tree: promql_parser.Expr, *names: str) -> list[timedelta]:
    """Every duration of these names in the query; raises ValueError on one beyond 64 bits."""
    found: list[timedelta | None] = []

    def visit(node: object) -> bool:
        found.extend(getattr(node, name, None) for name in names)
        return True

    try:
        promql_parser.walk(tree, visit)
    except (ArithmeticError, ValueError) as error:
        raise ValueError(_TOO_LONG) from error
    return [one for one in found if one is not None]


def _selectors(tree: promql_parser.Expr) -> list[promql_parser.VectorSelector]:
    found: list[promql_parser.VectorSelector] = []

    def visit(node: object) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        return True

    promql_parser.walk(tree, visit)
    return found


def variant_of(query: str) -> str:
    """The feed variant that a query selects; `native` where it names none."""
    found = _VARIANT.search(query)
    return found[2] if found else "native"


def queries_of(criterion: Criterion) -> Iterator[str]:
    """Everything that is asked for a criterion."""
    yield criterion.query
    if criterion.max_age_seconds is not None:
        yield freshness_query(criterion)
    comparison = criterion.comparison
    exposures = (
        (comparison.exposure_query, comparison.baseline_exposure_query) if comparison else ()
    )
    yield from filter(None, (criterion.baseline_query, *exposures))


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
