"""Why a FeedHandler process does not start or does not go on: one line for the operator each.

Every message names the place and the remedy, and carries no secret.
"""


class Refusal(Exception):  # noqa: N818 - a refusal is the trade's word for it
    """The process cannot do what it was asked; `exit_code` is what the shell sees."""

    exit_code = 2


class ToggleError(Refusal, ValueError):
    """CRYPTOFEED_BACKPACK_NATIVE holds neither true nor false."""


class ConfigError(Refusal, ValueError):
    """A configuration file cannot be read or does not mean anything; names file and key."""


class ListenError(Refusal, OSError):
    """The HTTP endpoints cannot listen where the configuration says."""


class SinkBusyError(Refusal, OSError):
    """Another process holds a sink that only one may write."""


class SinkError(Refusal, RuntimeError):
    """A sink cannot keep what it was given, so the process must stop rather than lose it."""

    exit_code = 1
