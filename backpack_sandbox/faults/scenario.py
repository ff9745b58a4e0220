"""Scenarios: a story, the steps that play it, and the end that a good client comes to."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

import msgspec

from backpack_sandbox.errors import SandboxError
from backpack_sandbox.faults.nasty import find_nasty
from backpack_sandbox.faults.nasty_sender import NastyOrder
from backpack_sandbox.faults.orders import FaultOrder, read_fault_order
from backpack_sandbox.faults.places import PlacedDocument
from backpack_sandbox.market.catalog import PROFILES, build_catalog

PACE_MAX: Final = 100.0
SUFFIX: Final = ".yaml"
_ENUM_FIELD: Final = re.compile(r"Invalid enum value .* - at `\$[^`]*?\.(\w+)(?:\[[^`]*)?`")

type Count = Literal[
    "reconnects",
    "gaps",
    "resyncs",
    "repeats",
    "refused_frames",
    "socket_errors",
    "refused_signatures",
    "wrong_times",
]
"""What a client counts while a scenario is played; what is not named must stay at 0."""


class MarketOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What becomes of every market: at a standstill, going on, or `pace` times as fast."""

    market: Literal["pause", "resume", "pace"]
    pace: float | None = None


type Order = FaultOrder | NastyOrder | MarketOrder


class Step(msgspec.Struct, frozen=True):
    """`order` is given `at` seconds from the start."""

    at: float
    order: Order


class Expectation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The end, `within_seconds` after the last fault is over.

    `books`: equal to the truth at each id, or not to be compared. `trades_missing` and
    `trades_repeated` are the most that may be; None is not to be compared. `ids`: the truth's, or
    begun anew from 1. `account`: whether private
    streams work, are refused, may do either, or are not asked for. `must_count`: what a client
    that noticed the faults has counted.
    """

    within_seconds: float
    books: Literal["equal", "any"] = "equal"
    trades_missing: int | None = 0
    trades_repeated: int | None = 0
    ids: Literal["kept", "restarted"] = "kept"
    account: Literal["works", "refused", "any", "not_asked"] = "not_asked"
    must_count: list[Count] = []
    may_count: list[Count] = []


class Scenario(msgspec.Struct, frozen=True):
    """A story that can be played."""

    name: str
    story: str
    covers: list[str]
    steps: list[Step]
    expect: Expectation

    @property
    def seconds(self) -> float:
        """From the start until the last step and the last fault with an end are over."""
        return max(step.at + _lasts(step) for step in self.steps)


class _File(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    story: str
    steps: list[dict[str, Any]]
    expect: Expectation


def scenario_names() -> list[str]:
    """The scenarios of the package, sorted."""
    folder = files("backpack_sandbox.scenarios")
    return sorted(f.name.removesuffix(SUFFIX) for f in folder.iterdir() if f.name.endswith(SUFFIX))


def find_scenario(name_or_file: str) -> Scenario:
    """A scenario of the package by its name, or any by its file; SandboxError otherwise."""
    if name_or_file in scenario_names():
        file = name_or_file + SUFFIX
        text = files("backpack_sandbox.scenarios").joinpath(file).read_text("utf-8")
        return read_scenario(text, file)
    if not name_or_file.endswith((SUFFIX, ".yml")):
        raise SandboxError(
            f"unknown scenario {name_or_file!r}: choose one of {', '.join(scenario_names())},"
            " or give a .yaml file"
        )
    try:
        text = Path(name_or_file).read_text("utf-8")
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise SandboxError(f"{name_or_file}: cannot be read: {reason}") from error
    return read_scenario(text, name_or_file)


def read_scenario(text: str, file: str) -> Scenario:
    """Judge a scenario; SandboxError naming file, line and key for what cannot be."""
    document = PlacedDocument(text, file)
    try:
        content = msgspec.convert(document.value, _File)
    except msgspec.ValidationError as error:
        raise document.complaint(_with_choices(error, Expectation)) from error
    if not 0 < content.expect.within_seconds < float("inf"):
        reason = f"was {content.expect.within_seconds:g}, must be above 0"
        raise document.complaint(reason, "$.expect.within_seconds")
    steps = [_step(document, index, raw) for index, raw in enumerate(content.steps)]
    if not steps:
        raise document.complaint("a scenario has at least one step", "$.steps")
    _check_order(document, steps)
    covers = list(dict.fromkeys(_title(step) for step in steps))
    return Scenario(content.name, content.story.strip(), covers, steps, content.expect)


def _step(document: PlacedDocument, index: int, raw: dict[str, Any]) -> Step:
    path = f"$.steps[{index}]"
    if "at" not in raw:
        raise document.complaint("`at` is missing: give seconds from the start", path)
    at, body = raw.get("at"), {key: value for key, value in raw.items() if key != "at"}
    if isinstance(at, bool) or not isinstance(at, int | float) or not 0 <= at < float("inf"):
        raise document.complaint(f"must be seconds from the start, was {at!r}", f"{path}.at")
    if len(kinds := body.keys() & {"fault", "nasty", "market"}) != 1:
        raise document.complaint("must have one of fault, nasty and market", path)
    try:
        return Step(float(at), _READ[kinds.pop()](body))
    except (msgspec.ValidationError, SandboxError) as error:
        raise document.complaint(str(error), path) from error


def _nasty(body: dict[str, Any]) -> NastyOrder:
    named = {("name" if key == "nasty" else key): value for key, value in body.items()}
    order = msgspec.convert(named, NastyOrder)
    find_nasty(order.name)
    return order


def _market(body: dict[str, Any]) -> MarketOrder:
    try:
        order = msgspec.convert(body, MarketOrder)
    except msgspec.ValidationError as error:
        raise SandboxError(_with_choices(error, MarketOrder)) from error
    if order.market == "pace" and order.pace is None:
        raise SandboxError(f"`pace` is missing: above 0 and at most {PACE_MAX:g}")
    if order.market != "pace" and order.pace is not None:
        raise SandboxError(f"`market: {order.market}` has no pace, only `market: pace` has")
    if order.pace is not None and not 0 < order.pace <= PACE_MAX:
        raise SandboxError(f"pace was {order.pace:g}, must be above 0 and at most {PACE_MAX:g}")
    return order


def _fault(body: dict[str, Any]) -> FaultOrder:
    order = read_fault_order(body)
    if unknown := sorted(set(order.symbols or ()) - _listed_symbols()):
        raise SandboxError(f"unknown symbol {', '.join(unknown)}: no profile lists it")
    return order


@cache
def _listed_symbols() -> frozenset[str]:
    return frozenset(symbol for profile in PROFILES for symbol in build_catalog(profile))


def _with_choices(error: msgspec.ValidationError, struct: type[msgspec.Struct]) -> str:
    """The error's text; of a word that is none of a few, with these few."""
    text = str(error)
    field = _ENUM_FIELD.search(text)
    if field is None:
        return text
    types = {each.name: each.type for each in msgspec.structs.fields(struct)}
    words = ", ".join(_words(types[field[1]])) if field[1] in types else ""
    return text.replace(" - at", f", must be one of {words} - at", 1) if words else text


def _words(kind: Any) -> tuple[str, ...]:
    """The words of a Literal, by another name or in a list as well."""
    kind = getattr(kind, "__value__", kind)
    return _words(get_args(kind)[0]) if get_origin(kind) is list else get_args(kind)


_READ: Final[Mapping[str, Callable[[dict[str, Any]], Order]]] = {
    "fault": _fault,
    "nasty": _nasty,
    "market": _market,
}


def _check_order(document: PlacedDocument, steps: Sequence[Step]) -> None:
    for index, (before, after) in enumerate(pairwise(steps), 1):
        if after.at < before.at:
            raise document.complaint("is before the step above", f"$.steps[{index}].at")


def _lasts(step: Step) -> float:
    order = step.order
    if isinstance(order, FaultOrder):
        return order.start_after_seconds + (order.duration_seconds or 0.0)
    if isinstance(order, NastyOrder):
        waits = sum(s.wait_s for s in find_nasty(order.name).input)
        return waits if order.wait_seconds is None else order.wait_seconds
    return 0.0


def _title(step: Step) -> str:
    order = step.order
    if isinstance(order, FaultOrder):
        return order.fault.value
    return order.name if isinstance(order, NastyOrder) else f"market {order.market}"
