"""What speaks for the next step: as rows for the console, as Markdown for Airflow. Pure."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from feed_migration.addresses import Addresses
from feed_migration.events import body_mappings, body_number
from feed_migration.markdown import cell, number, utc
from feed_migration.model import Approver, Decision, Measurement, Outcome, Step
from feed_migration.phases import MigrationState
from feed_migration.words import counted, span, step_words

# More lines would push Airflow's buttons out of sight; the others follow in one
ROWS_SHOWN = 2
_WORST_FIRST = (Outcome.FAILURE, Outcome.ERROR, Outcome.NO_DATA, Outcome.INCONCLUSIVE)
_NEVER_SHOWN = frozenset({"__name__", "instance", "job", "role", "variant"})
_BOUND = re.compile(r"(success|failure) (<=|>=) (\S+?)(?:,|$| and| or)")
_TIMES = re.compile(r"at most (\S+) times the baseline")


@dataclass(frozen=True, kw_only=True)
class EvidenceRow:
    """One criterion of the last gate in words; `link` is its graph, "" without a query."""

    criterion: str
    link: str
    value: str
    threshold: str
    outcome: str
    series: str


def evidence_rows(measured: Sequence[Measurement], addresses: Addresses) -> list[EvidenceRow]:
    """Return the last measurement of each criterion, worst and nearest to its threshold first."""
    latest = _worst_first(measured)
    telling = _telling(latest)
    return [
        EvidenceRow(
            criterion=row.criterion,
            link=addresses.graph(row.query) if row.query else "",
            value=number(row.value),
            threshold=_threshold(row),
            outcome=str(row.outcome),
            series=", ".join(
                value for key, value in row.series if key in telling and key not in _NEVER_SHOWN
            ),
        )
        for row in latest
    ]


def verdict_line(verdict: Mapping[str, Any], measured: Sequence[Measurement]) -> str:
    """Return a verdict in one line: how long it took, what of it was well, what was nearest."""
    line, latest = _tally(verdict, measured), _worst_first(measured)
    if verdict.get("decision") != Decision.PROMOTE or not latest:
        return line
    nearest = max(latest, key=nearness)
    if nearness(nearest) <= 0:
        return line
    at = f"{nearest.criterion} {number(nearest.value)} ({_threshold(nearest)})"
    return f"{line}; nearest to its threshold: {at}"


def _tally(verdict: Mapping[str, Any], measured: Sequence[Measurement]) -> str:
    words = f"{verdict.get('decision')} after {span(body_number(verdict, 'at_seconds') or 0.0)}"
    if verdict.get("decision") != Decision.PROMOTE:
        reasons = (
            one.get("text") or one.get("criterion") for one in body_mappings(verdict, "reasons")
        )
        return f"{words}: {'; '.join(map(str, reasons)) or 'no reason'}"
    latest = _worst_first(measured)
    if not latest:
        return words
    counts = Counter(str(row.outcome) for row in latest)
    told = ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())
    well = f"all {next(iter(counts))}" if len(counts) == 1 else told
    return f"{words}, {len(latest)} {'criterion' if len(latest) == 1 else 'criteria'}, {well}"


def nearness(row: Measurement) -> float:
    """Return which share of the way to its threshold a value has gone; 0 where nobody can say."""
    value = row.value
    if value is None:
        return 0.0
    bounds = {(kind, sign): _float(limit) for kind, sign, limit in _BOUND.findall(row.threshold)}
    for kind in ("success", "failure"):
        above, below = ("<=", ">=") if kind == "success" else (">=", "<=")
        if (limit := bounds.get((kind, above), 0.0)) > 0:
            return max(0.0, value / limit)
        if (limit := bounds.get((kind, below), 0.0)) > 0 and value > 0:
            return limit / value
    times = _TIMES.search(row.threshold)
    if times and row.baseline_value:
        return value / (_float(times[1]) * row.baseline_value)
    return 0.0


def what_happens(step: Step) -> str:
    """Return what the approval of `step` sets going, as the end of a sentence."""
    if step.percent:
        return f"{step.percent} % of the fleet goes to the native feed"
    if step.phase == "stabilisation":
        least = f" for at least {span(step.gate.min_duration_seconds)}" if step.gate else ""
        return f"the stabilisation begins: the whole fleet on native is watched{least}"
    return f"{step_words(step.name)} begins"


def approval_body(
    step: Step,
    state: MigrationState,
    verdict: Mapping[str, Any] | None,
    measured: Sequence[Measurement],
    addresses: Addresses,
    *,
    until_unix: float,
) -> str:
    """Return the text of the question whether `step` may begin, short enough for the buttons.

    `verdict` is the body of the last one, `measured` the rows of its run in order.
    """
    rows = evidence_rows(measured, addresses) if verdict is not None else []
    pages = " · ".join(f"[{name}]({url})" for name, url in addresses.pages())
    now = f"on native now: {counted(len(state.exposed))}"
    until = utc(until_unix)
    answering = f" May answer: {who(step.approvers)}." if step.approvers else ""
    parts = [
        f"If you approve: **{what_happens(step)}**; {now}.{answering}",
        f"**Reject, or no answer by {until}, takes every instance back to ccxt.**",
        f"{judged(verdict, measured)} {pages}",
        criteria_lines(rows),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def who(approvers: Sequence[Approver]) -> str:
    """Return who may answer, in words."""
    return ", ".join(cell(one.name) for one in approvers)


def judged(verdict: Mapping[str, Any] | None, measured: Sequence[Measurement]) -> str:
    """Return what the last gate came to, as Markdown."""
    if verdict is None:
        return "No gate has run yet."
    step = cell(step_words(verdict.get("step")))
    return f"Last gate, **{step}**: {cell(_tally(verdict, measured))}."


def criteria_lines(rows: Sequence[EvidenceRow]) -> str:
    """Return the first rows, and all that are not well, as a list; the others in its last line."""
    well = [row for row in rows if row.outcome == Outcome.SUCCESS]
    shown = [row for row in rows if row.outcome != Outcome.SUCCESS]
    room = max(0, ROWS_SHOWN - len(shown))
    lines = [_line(row) for row in (*shown, *well[:room])]
    if rest := well[room:]:
        told = ", ".join(f"{_linked(row)} {cell(row.value)}" for row in rest)
        lines.append(f"* {len(rest)} more, all Success: {told}")
    return "\n".join(lines)


def _line(row: EvidenceRow) -> str:
    outcome = cell(row.outcome)
    marked = outcome if row.outcome == Outcome.SUCCESS else f"**{outcome}**"
    return f"* {_linked(row)} {cell(row.value)}: {marked} ({cell(row.threshold)})"


def _linked(row: EvidenceRow) -> str:
    name = cell(row.criterion)
    where = f" ({cell(row.series)})" if row.series else ""
    return f"[{name}]({row.link}){where}" if row.link else f"{name}{where}"


def _threshold(row: Measurement) -> str:
    if row.baseline_value is None or not _TIMES.search(row.threshold):
        return row.threshold or "recorded only"
    return _TIMES.sub(rf"\g<0> {number(row.baseline_value)}", row.threshold)


def _worst_first(measured: Sequence[Measurement]) -> list[Measurement]:
    latest = {measurement.criterion: measurement for measurement in measured}
    rank = {outcome: place for place, outcome in enumerate(_WORST_FIRST)}
    return sorted(
        latest.values(),
        key=lambda row: (rank.get(row.outcome, len(rank)), -nearness(row), row.criterion),
    )


def _telling(rows: Sequence[Measurement]) -> set[str]:
    """Return the labels that tell rows apart: not those that say the same of several."""
    seen: dict[str, list[str]] = {}
    for row in rows:
        for key, value in row.series:
            seen.setdefault(key, []).append(value)
    return {key for key, values in seen.items() if len(values) == 1 or len(set(values)) > 1}


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
