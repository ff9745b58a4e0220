"""The live view of a migration: one frame is a pure function of a situation and a size.

Lines are written for a terminal of any size: what matters stays, what does not fit is counted.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from feed_migration.events import Event
from feed_migration.incident import describe
from feed_migration.markdown import number
from feed_migration.model import Measurement, Outcome
from feed_migration.phases import MigrationState, Status
from feed_migration.situation import Situation, WaitsFor, minutes, wait_of

OUTCOMES: Mapping[Outcome, tuple[str, str]] = {
    Outcome.SUCCESS: ("Success", "green"),
    Outcome.FAILURE: ("Failure", "bold red"),
    Outcome.INCONCLUSIVE: ("Inconcl.", "yellow"),
    Outcome.NO_DATA: ("NoData", "yellow"),
    Outcome.ERROR: ("Error", "magenta"),
}
STATUSES: Mapping[Status, str] = {
    Status.ABSENT: "dim",
    Status.RUNNING: "bold cyan",
    Status.HELD: "bold yellow",
    Status.ROLLING_BACK: "bold red",
    Status.ROLLED_BACK: "bold red",
    Status.PROMOTED: "bold green",
}
_BARS = "▁▂▃▄▅▆▇█"
# What the list of events, and the instances that are not well, keep of a small terminal
_EVENTS_LEAST, _UNWELL_LEAST, _CRITERIA_LEAST = 3, 3, 3
_WIDE = 110
_WRAP = 3


@dataclass(frozen=True, kw_only=True)
class Silence:
    """A part that does not answer, since when (unix seconds), and what it said last."""

    part: str
    since_unix: float
    problem: str


@dataclass(frozen=True, kw_only=True)
class Size:
    """Columns and lines of a terminal."""

    width: int
    height: int


def frame(situation: Situation, silences: Sequence[Silence], size: Size) -> list[Text]:
    """Return at most `size.height` lines, none longer than `size.width` cells."""
    head = [
        *_head(situation, size.width),
        *_track(situation.state, size.width),
        *_wait(situation, size.width),
        *_watched(situation),
        *(_silence(one, situation.now_unix) for one in silences),
    ]
    foot = Text("ctrl-c ends the view, not the migration", style="dim")
    room = size.height - len(head) - 2
    criteria, unwell = list(situation.newest), list(situation.unwell)
    kept = _EVENTS_LEAST + min(len(unwell), _UNWELL_LEAST) + 3
    shown = _criteria(situation, criteria, size.width, max(_CRITERIA_LEAST, room - kept))
    room -= len(shown) + bool(shown)
    sick = _fleet(situation, size.width, max(1 + _UNWELL_LEAST, room - _EVENTS_LEAST - 1))
    room -= len(sick) + bool(sick)
    said = _events(situation.events, size.width, room)
    body = [line for block in (shown, sick, said) if block for line in (Text(), *block)]
    return [_cut(line, size.width) for line in [*head, *body][: size.height - 1]] + [foot]


def line(situation: Situation, silences: Sequence[Silence]) -> str:
    """Return the situation in one line, in which nothing changes by time alone."""
    state = situation.state
    failing = [
        f"{one.criterion} {number(one.value)} ({OUTCOMES[one.outcome][0]})"
        for one in situation.newest
        if one.outcome is not Outcome.SUCCESS
    ]
    wait = wait_of(situation)
    # the gate's clock is no change
    why = f"gate of {state.step}" if wait.kind is WaitsFor.GATE else wait.text
    words = [
        f"{state.migration_id or 'no migration'} {_words(state.status)}",
        f"{len(state.promoted)}/{len(state.steps)} steps",
        why,
        f"criteria: {', '.join(failing) or 'all well'}" if situation.newest else "",
        _summary(situation),
        *(f"{one.id}: {_reasons(one.reasons)}" for one in situation.unwell),
        *(f"{one.part} does not answer" for one in silences),
    ]
    return " | ".join(filter(None, words))


def spark(measurements: Sequence[Measurement], width: int) -> Text:
    """Return the last values of one criterion as bars between their least and their most.

    A tick without a finite value is a `·`; the colour is what the tick gave.
    """
    last = measurements[-width:]
    values = [one.value for one in last if one.value is not None and abs(one.value) < float("inf")]
    low, high = (min(values), max(values)) if values else (0.0, 0.0)
    text = Text()
    for one in last:
        value = one.value
        if value is None or not abs(value) < float("inf"):
            text.append("·", style=OUTCOMES[one.outcome][1])
            continue
        share = (value - low) / (high - low) if high > low else 0.0
        bar = _BARS[min(len(_BARS) - 1, int(share * len(_BARS)))]
        text.append(bar, style=OUTCOMES[one.outcome][1])
    return text


def short_threshold(text: str) -> str:
    """Return the thresholds of a criterion in fewer letters: `≤ 30, bad ≥ 45`."""
    for long, short in (
        ("success ", ""),
        ("failure ", "bad "),
        (">= ", "≥"),
        ("<= ", "≤"),
        (" times the baseline", "× baseline"),
        ("at most ", "≤"),
    ):
        text = text.replace(long, short)
    return text


def _head(situation: Situation, width: int) -> list[Text]:
    state = situation.state
    first = Text("Backpack feed migration  ", style="bold")
    first.append(_words(state.status).upper(), style=STATUSES[state.status])
    _right(first, _clock(situation.now_unix) + " UTC", width)
    if not state.migration_id:
        return [first, Text("no migration yet; `backpack-migrate start` begins one", style="dim")]
    facts = [state.migration_id, f"plan {state.plan_name}", f"epoch {state.epoch}"]
    if state.started_at is not None:
        until = situation.now_unix if state.ended_at is None else state.ended_at
        facts.append(f"for {minutes(until - state.started_at)}")
    return [first, Text("  ".join(facts), style="dim")]


def _track(state: MigrationState, width: int) -> list[Text]:
    """The steps in order, grouped by phase, over as many lines as they need."""
    lines, room = [Text()], width
    for words in _phases(state):
        if cell_len(words.plain) > room and lines[-1]:
            lines.append(Text())
            room = width
        lines[-1].append_text(words).append("  ")
        room -= cell_len(words.plain) + 2
    return [text for text in lines if text]


def _phases(state: MigrationState) -> list[Text]:
    grouped: dict[str, list[Mapping[str, object]]] = {}
    for facts in state.steps:
        grouped.setdefault(str(facts.get("phase")), []).append(facts)
    shown = []
    for phase, steps in grouped.items():
        if len(steps) == 1 and not steps[0].get("percent"):
            mark, style = _mark(state, str(steps[0].get("name")))
            shown.append(Text(f"{mark} {phase.replace('_', ' ')}", style=style))
            continue
        text = Text(f"{phase.replace('_', ' ')}:")
        for facts in steps:
            mark, style = _mark(state, str(facts.get("name")))
            text.append(f" {mark}{facts.get('percent')}%", style=style)
        shown.append(text)
    return shown


def _mark(state: MigrationState, step: str) -> tuple[str, str]:
    back = state.status in {Status.ROLLING_BACK, Status.ROLLED_BACK}
    if step in state.promoted:
        return ("✓", "dim" if back else "green")
    if step != state.step or not state.migration_id:
        return ("·", "dim")
    if back:
        return ("✗", "bold red")
    return ("‖", "bold yellow") if state.status is Status.HELD else ("▶", "bold cyan")


def _wait(situation: Situation, width: int) -> list[Text]:
    wait = wait_of(situation)
    if wait.kind is WaitsFor.NOTHING:
        reason = situation.state.reason
        return _wrapped("reason   ", reason, width, "bold red") if reason else []
    style = {WaitsFor.PERSON: "bold yellow", WaitsFor.APPROVAL: "bold yellow"}.get(wait.kind, "")
    style = "bold red" if wait.kind is WaitsFor.ROLLBACK else style
    lines = _wrapped("waits    ", wait.text, width, style)
    bar = _bar(situation, width)
    return [*lines, bar] if bar is not None else lines


def _bar(situation: Situation, width: int) -> Text | None:
    """How much of the gate's least duration is over."""
    gate, elapsed = situation.gate, situation.gate_elapsed_seconds
    if gate is None or elapsed is None or gate.min_duration_seconds <= 0:
        return None
    share = min(1.0, max(0.0, elapsed / gate.min_duration_seconds))
    cells = min(40, max(10, width - 20))
    full = int(share * cells)
    text = Text("         ")
    text.append("━" * full, style="cyan").append("━" * (cells - full), style="grey35")
    return text.append(f" {share:.0%}", style="dim")


def _watched(situation: Situation) -> list[Text]:
    lease = situation.watching_lease
    if lease is None:
        return []
    left = lease.expires_at - situation.now_unix
    text = Text("watched  ", style="dim")
    text.append(lease.holder)
    text.append(f", lease for {minutes(left)}" if left > 0 else ", lease over")
    return [text]


def _silence(one: Silence, now_unix: float) -> Text:
    age = minutes(now_unix - one.since_unix)
    return Text(f"! {one.part} has not answered for {age}: {one.problem}", style="bold red")


def _criteria(
    situation: Situation, criteria: Sequence[Measurement], width: int, room: int
) -> list[Text]:
    """A line of each criterion, those that are not well first where not all fit."""
    if not criteria:
        return []
    fits = len(criteria) < room
    order = sorted(criteria, key=lambda one: one.outcome is Outcome.SUCCESS)
    rows = criteria if fits else order[: max(1, room - 2)]
    sparks = 16 if width < _WIDE else 40
    names = min(24 if width < _WIDE else 34, max(len(one.criterion) for one in criteria))
    limits = max(8, width - names - 8 - 9 - sparks - 4)
    head = Text(style="dim")
    head.append(f"{'criterion':<{names}} {'outcome':<8} {'value':>9} ")
    head.append(f"{set_cell_size('threshold', limits)} last {sparks} ticks")
    lines = [head]
    for one in rows:
        word, style = OUTCOMES[one.outcome]
        text = Text(set_cell_size(one.criterion, names) + " ")
        text.append(f"{word:<8}", style=style)
        text.append(f" {set_cell_size(number(one.value), 9):>9}", style=style)
        text.append(f" {_fit(short_threshold(one.threshold), limits)} ")
        history = [each for each in situation.measurements if each.criterion == one.criterion]
        lines.append(text.append_text(spark(history, sparks)))
    if len(rows) < len(criteria):
        left = order[len(rows) :]
        well = sum(one.outcome is Outcome.SUCCESS for one in left)
        rest = "all well" if well == len(left) else f"{len(left) - well} not well"
        lines.append(Text(f"… {len(left)} more, {rest}", style="dim"))
    return lines


def _fleet(situation: Situation, width: int, room: int) -> list[Text]:
    """A summary, and the instances that are not well, as many as fit."""
    if not situation.instances:
        return []
    lines = [Text("fleet    ", style="dim").append(_summary(situation), style="default")]
    unwell = list(situation.unwell)
    shown = unwell if len(unwell) < room else unwell[: max(1, room - 2)]
    for one in shown:
        state = "not ready" if not one.ready else "unhealthy"
        text = Text(f"  {one.id}  {one.variant:<8}", style="yellow")
        lines.append(text.append(f"{state}: {_reasons(one.reasons)}"))
    if len(shown) < len(unwell):
        lines.append(Text(f"  … {len(unwell) - len(shown)} more are not well", style="yellow"))
    return [_cut(text, width) for text in lines]


def _summary(situation: Situation) -> str:
    instances = situation.instances
    if not instances:
        return ""
    counted = Counter(one.variant for one in instances)
    kinds = ", ".join(f"{count} {variant}" for variant, count in sorted(counted.items()))
    well = len(instances) - len(situation.unwell)
    return f"{len(instances)} instances: {kinds}; {well} well"


def _events(events: Sequence[Event], width: int, room: int) -> list[Text]:
    lines = []
    for event in events[-max(0, room) :] if room > 0 else ():
        text = Text(f"{_clock(event.at)} ", style="dim")
        text.append(f"{_words(event.kind)} ")
        text.append(describe(event) or _note(event), style="dim")
        text.append(f"  {event.actor}", style="cyan")
        lines.append(_cut(text, width, keep=cell_len(event.actor) + 2))
    return lines


def _note(event: Event) -> str:
    body = event.body
    words = [str(body[key]) for key in ("note", "command", "act", "text") if body.get(key)]
    return ", ".join(words)


def _reasons(reasons: Sequence[str]) -> str:
    return ", ".join(reasons) or "does not say why"


def _words(name: str) -> str:
    return str(name).replace("_", " ")


def _clock(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).strftime("%H:%M:%S")


def _fit(text: str, width: int) -> str:
    """Return `text` in exactly `width` cells, with an ellipsis where it was longer."""
    if cell_len(text) > width:
        return set_cell_size(text, max(0, width - 1)) + "…"
    return set_cell_size(text, width)


def _cut(text: Text, width: int, keep: int = 0) -> Text:
    """Return `text` in at most `width` cells; of a longer one the last `keep` cells stay."""
    if cell_len(text.plain) <= width:
        return text
    if not keep or keep >= width // 2:
        text.truncate(width, overflow="ellipsis")
        return text
    tail = text[-keep:]
    head = text[:-keep]
    head.truncate(width - keep, overflow="ellipsis")
    return head.append_text(tail)


def _right(text: Text, end: str, width: int) -> None:
    gap = width - cell_len(text.plain) - cell_len(end)
    if gap > 0:
        text.append(" " * gap).append(end, style="dim")


def _wrapped(label: str, said: str, width: int, style: str) -> list[Text]:
    """Return `said` behind a label, broken at blanks over at most three lines."""
    rows: list[str] = [""]
    for word in said.split():
        if rows[-1] and cell_len(f"{rows[-1]} {word}") > width - len(label):
            rows.append("")
        rows[-1] = f"{rows[-1]} {word}".strip()
    if len(rows) > _WRAP:
        rows = [*rows[: _WRAP - 1], f"{rows[_WRAP - 1]} …"]
    indent = " " * len(label)
    return [
        Text(label if number == 0 else indent, style="dim").append(row, style=style or "default")
        for number, row in enumerate(rows)
    ]
