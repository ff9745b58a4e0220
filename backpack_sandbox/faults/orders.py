"""Reading the order for a fault: from HTTP, the command line, a scenario or a test."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from backpack_sandbox.constants import LIQUIDATION, PRIVATE_STREAM_TYPES, PUBLIC_STREAM_TYPES
from backpack_sandbox.errors import SandboxError
from backpack_sandbox.faults.catalogue import (
    AGED_FAULTS,
    KINDS,
    SYMBOL_FAULTS,
    FaultKind,
    all_parameters,
    listed,
    parse_fault_name,
)
from backpack_sandbox.faults.names import FaultName
from backpack_sandbox.faults.parameters import Value


class FaultOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A fault that is wanted, judged. `parameters` are those of its kind, all of them."""

    fault: FaultName
    user_agent: str = "*"
    symbols: list[str] | None = None
    streams: list[str] | None = None
    start_after_seconds: float = 0.0
    duration_seconds: float | None = None
    share: float | None = None
    after_seconds: float | None = None
    parameters: dict[str, Any] = {}

    @property
    def kind(self) -> FaultKind:
        """The row of the catalogue."""
        return KINDS[self.fault]

    def number(self, parameter: str) -> float:
        """A parameter that is a number."""
        return float(self.parameters[parameter])

    def choice(self, parameter: str) -> str:
        """A parameter that is a word."""
        return str(self.parameters[parameter])


def read_fault_order(body: object) -> FaultOrder:
    """The order in `body`, `{"fault": name, …}` with parameters as keys; SandboxError otherwise."""
    if not isinstance(body, Mapping):
        raise SandboxError("a fault is an object with a key `fault`")
    if "fault" not in body:
        raise SandboxError(f"`fault` is missing: choose one of {listed(FaultName)}")
    kind = KINDS[parse_fault_name(body["fault"])]
    common, own = _sorted_keys(kind, body)
    try:
        order = msgspec.convert(common | {"parameters": own}, FaultOrder)
    except msgspec.ValidationError as error:
        raise SandboxError(f"{kind.name}: {error}") from error
    _check(order)
    return order


_GLOB_SIGN: Final = re.compile(r"[*?\[]")
_WITHOUT_SUBJECT: Final = PRIVATE_STREAM_TYPES | {LIQUIDATION}
_COMMON: Final = frozenset(FaultOrder.__struct_fields__) - {"parameters"}


def _sorted_keys(
    kind: FaultKind, body: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Value]]:
    """(what every fault has, the parameters of this kind)."""
    names = {parameter.name for parameter in kind.parameters}
    common = {key: value for key, value in body.items() if key not in names}
    if foreign := sorted(common.keys() - _COMMON):
        known = all_parameters().get(foreign[0], ())
        elsewhere = f", only {listed(k.name for k, _ in known)} has" if known else ""
        takes = listed(sorted(_COMMON | names))
        raise SandboxError(f"{kind.name} has no {foreign[0]}{elsewhere}; it takes {takes}")
    own = {p.name: p.check(body.get(p.name, p.default)) for p in kind.parameters}
    return common, own


def _check(order: FaultOrder) -> None:
    name = order.fault
    if order.duration_seconds is not None and not 0 < order.duration_seconds < float("inf"):
        raise SandboxError(f"duration_seconds was {order.duration_seconds:g}, must be above 0")
    if not 0 <= order.start_after_seconds < float("inf"):
        raise SandboxError(
            f"start_after_seconds was {order.start_after_seconds:g}, must not be below 0"
        )
    for what, wanted in (("symbols", order.symbols), ("streams", order.streams)):
        if wanted is not None and name not in SYMBOL_FAULTS:
            names = listed(sorted(SYMBOL_FAULTS))
            raise SandboxError(f"{name} cannot be narrowed to {what}: only {names} can")
        if wanted is not None and not wanted:
            raise SandboxError(f"{what} is empty: name at least one, or leave it out for all")
    _check_streams(order.streams or ())
    if order.user_agent != "*" and not order.kind.by_agent:
        raise SandboxError(f"{name} hits every client: no user agent is known in a handshake")
    _check_share(order)
    _check_age(order)


def _check_streams(globs: Sequence[str]) -> None:
    types = sorted(PUBLIC_STREAM_TYPES | PRIVATE_STREAM_TYPES)
    for glob in globs:
        if not any(_can_match(glob, each) for each in types):
            raise SandboxError(
                f"stream {glob!r} can match none: give a glob of names such as depth.SOL_USDC or"
                f" trade.*, of {listed(types)}"
            )


def _can_match(glob: str, stream_type: str) -> bool:
    """A stream of that type may have a name that the glob fits."""
    head = _GLOB_SIGN.split(glob)[0]
    if head == glob:  # one name, whole
        has_subject = glob.startswith(f"{stream_type}.")
        return has_subject or (stream_type in _WITHOUT_SUBJECT and glob == stream_type)
    return head.startswith(f"{stream_type}.") or f"{stream_type}.".startswith(head)


def _check_share(order: FaultOrder) -> None:
    if order.share is None:
        return
    if order.kind.share_of is None:
        raise SandboxError(f"{order.fault} has no share: it hits all or nothing")
    if not 0 < order.share <= 1:
        raise SandboxError(f"share was {order.share:g}, must be above 0 and at most 1")


def _check_age(order: FaultOrder) -> None:
    if order.after_seconds is None:
        return
    if order.fault not in AGED_FAULTS:
        names = listed(sorted(AGED_FAULTS))
        raise SandboxError(f"{order.fault} has no after_seconds: only {names} have")
    if not 0 <= order.after_seconds < float("inf"):
        raise SandboxError(f"after_seconds was {order.after_seconds:g}, must not be below 0")
