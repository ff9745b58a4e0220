"""Authentication of the private streams: a pure state machine (protocol sections 5.1 and 7).

The venue acknowledges nothing: silence after a signed SUBSCRIBE is success and error 4003 is
refusal. One refusal is answered by signing anew with the venue's clock; a second one stops the
private streams for good, while the public streams of the same socket go on.
"""

from enum import StrEnum

ACCEPTED_AFTER_SECONDS = 2.0
FORGIVEN_AFTER_SECONDS = 300.0
"""A refusal may come later than silence is taken for success; so long it does not take."""


class PrivateState(StrEnum):
    """PENDING: signed and not yet refused. STOPPED is final."""

    IDLE = "idle"
    PENDING = "pending"
    AUTHENTICATED = "authenticated"
    STOPPED = "stopped"


class PrivateStream:
    """Times are monotonic seconds."""

    def __init__(self) -> None:
        self.state = PrivateState.IDLE
        self._signed_at = 0.0
        self._second_try = False

    @property
    def authenticated(self) -> bool:
        """Whether the venue took the last signature."""
        return self.state is PrivateState.AUTHENTICATED

    @property
    def stopped(self) -> bool:
        """Whether the venue refused twice."""
        return self.state is PrivateState.STOPPED

    def signed(self, now: float) -> None:
        """A signed SUBSCRIBE was sent."""
        if not self.stopped:
            self.state, self._signed_at = PrivateState.PENDING, now

    def lost(self) -> None:
        """The socket is gone: every subscription must be signed anew."""
        if not self.stopped:
            self.state = PrivateState.IDLE

    def delivered(self) -> None:
        """A private frame came, which proves the signature."""
        if not self.stopped:
            self.state, self._second_try = PrivateState.AUTHENTICATED, False

    def refused(self) -> bool:
        """4003 came; return whether to sign once more."""
        if self._second_try or self.stopped:
            self.state = PrivateState.STOPPED
            return False
        self._second_try = True
        self.state = PrivateState.IDLE
        return True

    def tick(self, now: float) -> None:
        """Take silence as success after a while, and forget a refusal after a long while."""
        silent_seconds = now - self._signed_at
        if self.state is PrivateState.PENDING and silent_seconds >= ACCEPTED_AFTER_SECONDS:
            self.state = PrivateState.AUTHENTICATED
        if self.authenticated and silent_seconds >= FORGIVEN_AFTER_SECONDS:
            self._second_try = False
