"""Counts, names and lengths of time as people say them. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from feed_migration.events import body_names

# From so many seconds on minutes, and hours, are easier to read
_MINUTES_FROM, _HOURS_FROM = 120, 7200
_STARTS, _STOPS, _MOVES = "start_shadow", "stop_shadow", "set_variant"


def counted(count: int, noun: str = "instance") -> str:
    """Return `1 instance`, `5 instances`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def listed(names: Sequence[str], shown: int) -> str:
    """Return `a, b and 3 more`: the first `shown` names, and how many the others are."""
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more} more" if more > 0 else "")


def gone_words(names: Sequence[str]) -> str:
    """Return `feed-00 is not there any more`, "" without a name."""
    if not names:
        return ""
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} not there any more"


def step_words(name: object) -> str:
    """Return the name of a step as every page writes it: `dry run`, `cutover-50`."""
    return str(name or "").replace("_", " ")


def since_words(seconds: float, *, breached: bool) -> str:
    """Return how long a rollback took, and since when: without a verdict it has no breach."""
    return f"{seconds:.1f} s after {'the breach' if breached else 'it began'}"


def span(seconds: float) -> str:
    """Return `62 s`, `5 min 12 s`, `24 h` or `24 h 3 min`."""
    whole = max(0, round(seconds))
    if whole < _MINUTES_FROM:
        return f"{whole} s"
    if whole < _HOURS_FROM:
        return _two(whole // 60, "min", whole % 60, "s")
    return _two(whole // 3600, "h", whole % 3600 // 60, "min")


def _two(large: int, unit: str, small: int, small_unit: str) -> str:
    return f"{large} {unit} {small} {small_unit}" if small else f"{large} {unit}"


def act_words(body: Mapping[str, Any], *, done: bool = False) -> str:
    """Return what an act on the fleet brings about, or has brought about."""
    act, named = str(body.get("act") or "an act"), body_names(body)
    many = len(named) != 1
    whose = counted(len(named)) if named else "the instances"
    if act == _MOVES:
        variant = body.get("variant") or "ccxt"
        going = f"go{'' if many else 'es'} to {variant}"
        return f"{whose} {f'on {variant}' if done else going}"
    if act in {_STARTS, _STOPS}:
        shadows = f"{len(named)} shadows" if named and many else "the shadows"
        verb = "start" if act == _STARTS else "stop"
        past = {"start": "run", "stop": "are stopped"}[verb]
        return f"{shadows} {past if done else verb}"
    counted_too = f" of {counted(len(named))}" if named else ""
    return f"{act.replace('_', ' ')}{counted_too} {'done' if done else 'under way'}"
