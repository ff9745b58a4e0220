"""What a frame lists: criteria with their last ticks, instances that are not well, events. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from feed_migration.cli.cells import clock_of, cut, fitted, words_of
from feed_migration.cli.situation import Situation
from feed_migration.events import Event
from feed_migration.markdown import number
from feed_migration.model import Measurement, Outcome
from feed_migration.report.incident import describe

OUTCOMES: Mapping[Outcome, tuple[str, str]] = {
    Outcome.SUCCESS: ("Success", "green"),
    Outcome.FAILURE: ("Failure", "bold red"),
    Outcome.INCONCLUSIVE: ("Inconcl.", "yellow"),
    Outcome.NO_DATA: ("NoData", "yellow"),
    Outcome.ERROR: ("Error", "magenta"),
}
_BARS = "▁▂▃▄▅▆▇█"
# From so many columns on there is room for longer names and more ticks
_WIDE = 110


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


def criteria_lines(situation: Situation, width: int, room: int) -> list[Text]:
    """Return a line of each criterion, those that are not well first where not all fit."""
    criteria = situation.newest
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
        text.append(f" {number(one.value)[:9]:>9}", style=style)
        text.append(f" {fitted(short_threshold(one.threshold), limits)} ")
        history = [each for each in situation.measurements if each.criterion == one.criterion]
        lines.append(text.append_text(spark(history, sparks)))
    if len(rows) < len(criteria):
        left = order[len(rows) :]
        well = sum(one.outcome is Outcome.SUCCESS for one in left)
        rest = "all well" if well == len(left) else f"{len(left) - well} not well"
        lines.append(Text(f"… {len(left)} more, {rest}", style="dim"))
    return lines


def fleet_lines(situation: Situation, width: int, room: int) -> list[Text]:
    """Return a summary, and the instances that are not well, as many as fit."""
    if not situation.instances:
        return []
    lines = [Text("fleet    ", style="dim").append(fleet_summary(situation), style="default")]
    unwell = list(situation.unwell)
    shown = unwell if len(unwell) < room else unwell[: max(1, room - 2)]
    for one in shown:
        state = "not ready" if not one.ready else "unhealthy"
        text = Text(f"  {one.id}  {one.variant:<8}", style="yellow")
        lines.append(text.append(f"{state}: {reasons_of(one.reasons)}"))
    if len(shown) < len(unwell):
        lines.append(Text(f"  … {len(unwell) - len(shown)} more are not well", style="yellow"))
    return [cut(text, width) for text in lines]


def fleet_summary(situation: Situation) -> str:
    """Return how many instances run what, and how many of them are well."""
    instances = situation.instances
    if not instances:
        return ""
    counted = Counter(one.variant for one in instances)
    kinds = ", ".join(f"{count} {variant}" for variant, count in sorted(counted.items()))
    well = len(instances) - len(situation.unwell)
    return f"{len(instances)} instances: {kinds}; {well} well"


def event_lines(events: Sequence[Event], width: int, room: int) -> list[Text]:
    """Return the last events, one a line, each with its actor."""
    lines = []
    for event in events[-max(0, room) :] if room > 0 else ():
        text = Text(f"{clock_of(event.at)} ", style="dim")
        text.append(f"{words_of(event.kind):<19} ")
        text.append(describe(event) or _note(event), style="dim")
        text.append(f"  {event.actor}", style="cyan")
        lines.append(cut(text, width, keep=cell_len(event.actor) + 2))
    return lines


def _note(event: Event) -> str:
    body = event.body
    words = [str(body[key]) for key in ("note", "command", "act", "text") if body.get(key)]
    return ", ".join(words)


def reasons_of(reasons: Sequence[str]) -> str:
    """Return why an instance is not well."""
    return ", ".join(reasons) or "does not say why"
