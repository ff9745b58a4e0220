"""A local venue that speaks Backpack's wire protocol, with faults on demand and a ledger.

Importing the package does not load the venue: the command line can say what is not installed.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from backpack_sandbox.config import SandboxConfig
from backpack_sandbox.errors import SandboxError

if TYPE_CHECKING:
    from backpack_sandbox.server import Sandbox

__all__ = ["Sandbox", "SandboxConfig", "SandboxError"]


def __getattr__(name: str) -> Any:
    if name != "Sandbox":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module("backpack_sandbox.server").Sandbox
