"""The live view of a migration: one frame is a pure function of a situation and a size.

Lines are written for a terminal of any size: what matters stays, what does not fit is counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from feed_migration.cli.cells import (
    at_the_right,
    clock_of,
    cut,
    words_of,
    wrapped,
)
from feed_migration.cli.lists import (
    OUTCOMES,
    criteria_lines,
    event_lines,
    fleet_lines,
    fleet_summary,
    reasons_of,
)
from feed_migration.cli.situation import Situation, WaitsFor, minutes, wait_of
from feed_migration.cli.standing import printable
from feed_migration.guard.answer import GuardState
from feed_migration.markdown import number
from feed_migration.model import Outcome
from feed_migration.phases import MigrationState, Status

STATUSES: Mapping[Status, str] = {
    Status.ABSENT: "dim",
    Status.RUNNING: "bold cyan",
    Status.HELD: "bold yellow",
    Status.ROLLING_BACK: "bold red",
    Status.ROLLED_BACK: "bold red",
    Status.PROMOTED: "bold green",
}
GUARDS: Mapping[GuardState, str] = {
    GuardState.WATCHING: "bold yellow",
    GuardState.REVERTING: "bold red",
    GuardState.HANGS: "bold red",
    GuardState.UNKNOWN: "dim",
}
# What the list of events, and the instances that are not well, keep of a small terminal
_EVENTS_LEAST, _UNWELL_LEAST, _CRITERIA_LEAST = 3, 3, 3
# From so many lines on there is room for blank ones
_TALL = 30


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
        *_guard(situation),
        *(_silence(one, situation.now_unix) for one in silences),
    ]
    foot = Text("ctrl-c ends the view, not the migration", style="dim")
    gap = [Text()] if size.height >= _TALL else []
    room = size.height - len(head) - len(gap) - 1
    kept = _EVENTS_LEAST + min(len(situation.unwell), _UNWELL_LEAST) + 1 + 3 * len(gap)
    shown = criteria_lines(situation, size.width, max(_CRITERIA_LEAST, room - kept))
    room -= len(shown) + len(gap)
    sick = fleet_lines(situation, size.width, max(1 + _UNWELL_LEAST, room - _EVENTS_LEAST - 1))
    room -= len(sick) + len(gap)
    said = event_lines(situation.events, size.width, room)
    body = [line for block in (shown, sick, said) if block for line in (*gap, *block)]
    lines = [*[*head, *body][: size.height - 1], foot]
    for each in lines:
        # what a venue or a library says moves no cursor
        each.plain = printable(each.plain)
    return [cut(each, size.width) for each in lines]


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
        f"{state.migration_id or 'no migration'} {words_of(state.status)}",
        f"{len(state.promoted)}/{len(state.steps)} steps",
        why,
        f"criteria: {', '.join(failing) or 'all well'}" if situation.newest else "",
        fleet_summary(situation),
        _guard_words(situation),
        *(f"{one.id}: {reasons_of(one.reasons)}" for one in situation.unwell),
        *(f"{one.part} does not answer" for one in silences),
    ]
    return printable(" | ".join(filter(None, words)))


def _head(situation: Situation, width: int) -> list[Text]:
    state = situation.state
    first = Text("Backpack feed migration  ", style="bold")
    first.append(words_of(state.status).upper(), style=STATUSES[state.status])
    at_the_right(first, clock_of(situation.now_unix) + " UTC", width)
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
        return wrapped("reason   ", reason, width, "bold red") if reason else []
    style = {WaitsFor.PERSON: "bold yellow", WaitsFor.APPROVAL: "bold yellow"}.get(wait.kind, "")
    style = "bold red" if wait.kind is WaitsFor.ROLLBACK else style
    lines = wrapped("waits    ", wait.text, width, style)
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


def _guard(situation: Situation) -> list[Text]:
    """How the guard is; one that is silent is told of among the silent parts."""
    guard = situation.guard
    if guard is None or guard.state is GuardState.SILENT:
        return []
    text = Text("guard    ", style="dim")
    return [text.append(guard.text, style=GUARDS.get(guard.state, "default"))]


def _guard_words(situation: Situation) -> str:
    guard = situation.guard
    if guard is None or guard.state in {GuardState.SILENT, GuardState.UNKNOWN}:
        return ""
    return f"guard {guard.text}"


def _silence(one: Silence, now_unix: float) -> Text:
    age = minutes(now_unix - one.since_unix)
    return Text(f"! {one.part} silent for {age}: {one.problem}", style="bold red")
