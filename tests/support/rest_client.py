"""A REST client of a scripted venue, without random pauses."""

from typing import Any

from backpack_feed.wire.rest import BackpackRest


def client_of(venue: Any, **settings: Any) -> BackpackRest:
    """Trusts the authority of `venue` unless `settings` say else."""
    defaults = {"ca_file": venue.ca_file, "jitter": lambda: 0.0}
    return BackpackRest(venue.rest_url, **defaults | settings)


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
