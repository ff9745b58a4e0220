"""The live picture in the terminal: one frame is a pure function of a Snapshot."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

_COLOURS = {
    "Success": "green",
    "Failure": "bold red",
    "Inconclusive": "yellow",
    "NoData": "yellow",
    "Error": "magenta",
}


@dataclass(frozen=True)
class CriterionRow:
    """The newest measurement of one criterion."""

    name: str
    outcome: str
    value: float | None
    threshold: str


@dataclass(frozen=True)
class Snapshot:
    """What is known of a migration at one moment."""

    elapsed_seconds: float
    status: str
    steps: Sequence[str]
    promoted: Sequence[str]
    step: str | None
    gate_elapsed_seconds: float | None
    gate_min_seconds: float | None
    seconds_left: float
    instances: Sequence[tuple[str, str, bool]]  # id, variant, ready
    criteria: Sequence[CriterionRow]
    fault: str | None
    last_event: str

    @property
    def native(self) -> int:
        """Instances on the native feed."""
        return sum(variant == "native" for _, variant, _ in self.instances)


def render(snapshot: Snapshot) -> RenderableType:
    """Return one frame: head, track of steps, fleet, criteria, newest event."""
    parts: list[RenderableType] = [_head(snapshot), _track(snapshot), _fleet(snapshot)]
    if snapshot.criteria:
        parts.append(_criteria(snapshot))
    parts.append(Text(f"  {snapshot.last_event}", style="dim"))
    return Group(*parts)


def line(snapshot: Snapshot) -> str:
    """Return a frame as one line, for output that is not a terminal."""
    failing = [row.name for row in snapshot.criteria if row.outcome == "Failure"]
    return " | ".join(
        [
            f"{_clock(snapshot.elapsed_seconds)} {snapshot.status}",
            f"step {snapshot.step or '–'}",
            f"{snapshot.native}/{len(snapshot.instances)} native",
            f"{len(snapshot.criteria) - len(failing)}/{len(snapshot.criteria)} criteria hold"
            + (f", failing: {', '.join(failing)}" if failing else ""),
            snapshot.last_event,
        ]
    )


def _head(snapshot: Snapshot) -> Text:
    text = Text()
    text.append(f"{_clock(snapshot.elapsed_seconds)}  ", style="dim")
    text.append(snapshot.status, style="bold red" if "roll" in snapshot.status else "bold")
    text.append(f"   about {_clock(snapshot.seconds_left)} left", style="dim")
    if snapshot.fault:
        text.append(f"   fault: {snapshot.fault}", style="bold red")
    return text


def _track(snapshot: Snapshot) -> Text:
    text = Text("  ")
    for name in snapshot.steps:
        if name in snapshot.promoted:
            text.append(f"✓ {name}  ", style="green")
        elif name == snapshot.step:
            text.append(f"▶ {name}{_gate(snapshot)}  ", style="bold cyan")
        else:
            text.append(f"· {name}  ", style="dim")
    return text


def _gate(snapshot: Snapshot) -> str:
    if snapshot.gate_elapsed_seconds is None or snapshot.gate_min_seconds is None:
        return ""
    return f" {snapshot.gate_elapsed_seconds:.0f}/{snapshot.gate_min_seconds:.0f} s"


def _fleet(snapshot: Snapshot) -> Text:
    text = Text("  ")
    for name, variant, ready in snapshot.instances:
        colour = "yellow" if not ready else ("green" if variant == "native" else "blue")
        text.append(f"{name.removeprefix('feed-')}:{variant if ready else '…'} ", style=colour)
    text.append(f"  {snapshot.native} of {len(snapshot.instances)} on native", style="bold")
    return text


def _criteria(snapshot: Snapshot) -> Table:
    table = Table(box=None, padding=(0, 2), header_style="dim")
    table.add_column("criterion")
    table.add_column("value", justify="right")
    table.add_column("threshold")
    table.add_column("measured")
    for row in snapshot.criteria:
        colour = _COLOURS.get(row.outcome, "")
        value = "–" if row.value is None else f"{row.value:.4g}"
        table.add_row(row.name, value, row.threshold, Text(row.outcome, style=colour))
    return table


def _clock(seconds: float) -> str:
    minutes, rest = divmod(max(0, round(seconds)), 60)
    return f"{minutes}:{rest:02}"
