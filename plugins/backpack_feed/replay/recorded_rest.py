"""The feed's own REST client over recorded answers instead of a network."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from backpack_feed.errors import ConnectionLostError
from backpack_feed.wire.rest import BackpackRest
from backpack_feed.wire.rest_transport import Answer, Transport
from backpack_feed.wire.signing import Signer

EXCHANGE_SECONDS: Final = 0.05
"""How long an exchange takes."""
REST_URL: Final = "https://recorded.invalid"


@dataclass(frozen=True)
class RecordedAnswer:
    """One answer of a recording; `error` is a broken exchange, `path` None fits any request."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] | None = None
    error: str = ""
    path: str | None = None

    async def give(self, path: str) -> Answer:
        """Answer a request for `path`; raises `ConnectionLostError` for a broken exchange."""
        await asyncio.sleep(EXCHANGE_SECONDS)
        if self.error:
            raise ConnectionLostError(f"{path}: {self.error}")
        return Answer(self.status, self.headers or {}, self.body)


class OneAnswer(Transport):
    """Gives the same answer to every request."""

    def __init__(self, answer: RecordedAnswer) -> None:
        self._answer = answer

    async def get(self, url: str, params: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
        """Answer one request."""
        del params, headers
        return await self._answer.give(url)

    async def get_anew(
        self, url: str, params: Mapping[str, str], headers: Mapping[str, str]
    ) -> Answer:
        """Answer one request over a new connection."""
        return await self.get(url, params, headers)

    async def close(self) -> None:
        """There is no connection to close."""


class RecordedRest(BackpackRest):
    """Retries, limits, caches, refusals and decoding are the client's own code."""

    def __init__(
        self,
        transport: Transport,
        *,
        clock: Callable[[], float],
        attempts: int = 4,
        signer: Signer | None = None,
    ) -> None:
        monotonic = asyncio.get_running_loop().time
        super().__init__(
            REST_URL, attempts=attempts, signer=signer, clock=clock, monotonic=monotonic
        )
        self._transport = transport
