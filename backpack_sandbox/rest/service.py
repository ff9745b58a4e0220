"""The service endpoints: status, ping and time."""

from collections.abc import Callable

from aiohttp import web

from backpack_sandbox.constants import API_PREFIX
from backpack_sandbox.rest import answers


class ServiceRest:
    """Tells of the venue itself. `clock` is unix seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """Every service endpoint."""
        return [
            web.get(f"{API_PREFIX}/status", self.status),
            web.get(f"{API_PREFIX}/ping", self.ping),
            web.get(f"{API_PREFIX}/time", self.time),
        ]

    async def status(self, _request: web.Request) -> web.Response:
        """Up; a maintenance is a fault, which answers in this endpoint's place."""
        return answers.json_answer({"message": None, "status": "Ok"})

    async def ping(self, _request: web.Request) -> web.Response:
        """Bare text."""
        return answers.text_answer("pong")

    async def time(self, _request: web.Request) -> web.Response:
        """Unix milliseconds as bare text."""
        return answers.text_answer(str(int(self._clock() * 1000)))
