"""A local venue that speaks Backpack's wire protocol, with faults on demand and a ledger."""

from backpack_sandbox.config import SandboxConfig
from backpack_sandbox.errors import SandboxError
from backpack_sandbox.server import Sandbox

__all__ = ["Sandbox", "SandboxConfig", "SandboxError"]
