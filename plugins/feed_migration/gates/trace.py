"""Recorded traces: a gate, and what Prometheus answered at each tick (docs/gates.md, "Replay").

The shape of a trace must be right, or it is refused with the line; an answer in it may be anything
that a broken Prometheus can say, and what cannot be read is an Error at its tick.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from feed_migration.document.reader import Document, read_document
from feed_migration.document.validation import meant, validated
from feed_migration.model import Answer, Gate, Series
from feed_migration.numbers_json import number_from_text
from feed_migration.plan.reader import GateReader
from feed_migration.plan.types import LONGEST_SECONDS, Number, Spec

TRACE_BYTES = 64 * 1024 * 1024
TRACE_NODES = 5_000_000
_ANSWER_KEYS = ("series", "baseline", "age", "warnings", "error", "exposure", "baseline_exposure")
_Seconds = Annotated[Number, Field(ge=0, le=LONGEST_SECONDS)]


@dataclass(frozen=True, kw_only=True)
class TraceTick:
    """What was answered at a tick, `at_seconds` after the gate began, by criterion."""

    at_seconds: float
    answers: Mapping[str, Answer]
    confirm: bool = False
    backfilled: bool = False


@dataclass(frozen=True, kw_only=True)
class Trace:
    """A recorded gate; `end_seconds` is when the step was ended from outside, if it was."""

    gate: Gate
    fleet_size: int
    ticks: tuple[TraceTick, ...]
    end_seconds: float | None = None


class _TickSpec(Spec):
    at: _Seconds
    answers: dict[str, Any]
    confirm: bool = False
    backfilled: bool = False


class _TraceSpec(Spec):
    gate: Any
    fleet_size: Annotated[int, Field(ge=1)] | None = None
    ticks: list[Any]
    end: _Seconds | None = None


def load_trace(path: Path | str) -> Trace:
    """Read a trace, YAML or JSON; raises PlanError with every problem of its shape."""
    document = read_document(Path(path), max_bytes=TRACE_BYTES, max_nodes=TRACE_NODES)
    spec = validated(document, _TraceSpec, document.data, ())
    data = document.data if isinstance(document.data, dict) else {}
    gate = GateReader(document, {}).gate(data["gate"], ("gate",)) if "gate" in data else None
    names = {criterion.name for criterion in gate.criteria} if gate else set()
    items = spec.ticks if spec else ()
    ticks = [_tick(document, item, index, names) for index, item in enumerate(items)]
    if spec and gate and spec.fleet_size is None and _needs_fleet(gate):
        document.complain((), "fleet_size is missing, and expect_series says fleet")
    document.check()
    assert spec is not None  # noqa: S101 - no model means a problem, and `check` has raised
    assert gate is not None  # noqa: S101
    return Trace(
        gate=gate,
        fleet_size=spec.fleet_size or 1,
        ticks=tuple(tick for tick in ticks if tick is not None),
        end_seconds=spec.end,
    )


def answer_of(data: Any) -> Answer:
    """The answer that `data` records; anything unreadable is an Answer with an error."""
    if not isinstance(data, dict):
        return Answer(error=f"unparsable answer: {str(data)[:60]!r}")
    if data.get("error") is not None:
        return Answer(error=str(data["error"]) or "unnamed error")
    if unknown := [key for key in data if key not in _ANSWER_KEYS]:
        return Answer(error=f"unparsable answer: unknown key {unknown[0]!r}")
    try:
        return Answer(
            series=_series(data["series"]),
            baseline=_series(data["baseline"]) if data.get("baseline") is not None else None,
            age_seconds=_number_or_none(data.get("age")),
            exposure=_number_or_none(data.get("exposure")),
            baseline_exposure=_number_or_none(data.get("baseline_exposure")),
            warnings=_warnings(data.get("warnings")),
        )
    except (ArithmeticError, ValueError, TypeError, LookupError, AttributeError) as error:
        return Answer(error=f"unparsable answer: {type(error).__name__}: {error}")


def _needs_fleet(gate: Gate) -> bool:
    return any(criterion.expect_series == "fleet" for criterion in gate.criteria)


def _tick(document: Document, item: Any, index: int, names: set[str]) -> TraceTick | None:
    place = ("ticks", index)
    spec = validated(document, _TickSpec, item, place)
    if spec is None:
        return None
    for name in spec.answers:
        if names and name not in names:
            hint = meant(name, names)
            document.complain((*place, "answers", name), f"the gate has no such criterion{hint}")
    return TraceTick(
        at_seconds=spec.at,
        answers={name: answer_of(answer) for name, answer in spec.answers.items()},
        confirm=spec.confirm,
        backfilled=spec.backfilled,
    )


def _series(data: Sequence[Any]) -> tuple[Series, ...]:
    if not isinstance(data, list):
        raise TypeError(f"series must be a list, was {str(data)[:60]!r}")
    return tuple((_labels(labels), _number(value)) for labels, value in data)


def _labels(data: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((str(name), str(value)) for name, value in data.items()))


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError(f"not a number: {value!r}")
    return number_from_text(value) if isinstance(value, str) else float(value)


def _number_or_none(value: Any) -> float | None:
    return None if value is None else _number(value)


def _warnings(data: Any) -> tuple[str, ...]:
    warnings = data if isinstance(data, list) else [data] if data else []
    return tuple(str(warning) or "unnamed warning" for warning in warnings)
