"""What can go wrong around the sandbox, each saying where and what to do."""


class SandboxError(Exception):
    """The sandbox cannot start or obey; the message names the place and the remedy."""
