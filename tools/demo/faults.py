"""Breaks the venue for native clients, at the moment the demo shows."""

from typing import Literal, get_args

from tools.demo.stack import Stack

type FaultName = Literal["auth_failure", "gap", "stale", "disconnect", "schema_drift"]
FAULTS: tuple[str, ...] = get_args(FaultName.__value__)
# half of the fleet is exposed then, so that both feeds run while the native one breaks
FAULT_STEP = "cutover-50"
NATIVE_CLIENTS = "backpack-feed*"


def inject(stack: Stack, fault: str) -> None:
    """Start `fault` for native clients; the ccxt feed, on the same venue, stays unharmed."""
    stack.venue("POST", "/sandbox/faults", {"fault": fault, "user_agent": NATIVE_CLIENTS})
