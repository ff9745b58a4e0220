"""GET requests with patience: limits, retries, signatures, caches (protocol section 4)."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from backpack_feed.backoff import full_jitter
from backpack_feed.constants import USER_AGENT
from backpack_feed.errors import (
    BlockedError,
    ConfigError,
    ConnectionLostError,
    FeedError,
    RateLimitedError,
    RetryableError,
    StaleAnswerError,
    UntrustedCertificateError,
)
from backpack_feed.wire.rest_addresses import base_url, proxy_of
from backpack_feed.wire.rest_cache import age_seconds, is_stale, past_the_cache
from backpack_feed.wire.rest_errors import HTTP_OK, refusal
from backpack_feed.wire.rest_limits import RequestLimits
from backpack_feed.wire.rest_transport import Answer, Transport, tls_context
from backpack_feed.wire.signing import Signer

LOG = logging.getLogger(__name__)

RETRY_BASE_SECONDS: Final = 0.2
RETRY_CAP_SECONDS: Final = 10.0
PATIENCE_SECONDS: Final = 30.0
"""A longer pause is the caller's to wait out: nothing is sent and the error comes at once."""

_USELESS_TO_REPEAT = (UntrustedCertificateError, BlockedError)


@dataclass(slots=True)
class RestCounters:
    """Counts since the client was made. `retries_refused`: the budget of retries was spent."""

    requests: int = 0
    retries: int = 0
    retries_refused: int = 0
    rate_limited: int = 0
    lost_connections: int = 0
    stale_answers: int = 0


class RestRequests:
    """The requests of one client to one venue.

    A GET is sent up to `attempts` times: again after 429, 5xx and broken exchanges, with capped
    backoff and full jitter, as long as the client's budget of retries lasts. After a connection
    that broke, the next attempt comes at once and over a new one. Nothing at all is sent before a
    `Retry-After` is over.
    """

    def __init__(
        self,
        rest_url: str,
        *,
        ca_file: Path | str | None = None,
        signer: Signer | None = None,
        timeout_seconds: float = 10,
        user_agent: str = USER_AGENT,
        attempts: int = 4,
        proxy: str | None = None,
        limits: RequestLimits | None = None,
        jitter: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.time,  # noqa: TID251 - an argument
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if attempts < 1:
            raise ConfigError(f"attempts: {attempts} must be at least 1")
        self.rest_url = base_url(rest_url)
        self.signer = signer
        self.counters = RestCounters()
        self._transport = Transport(
            tls=tls_context(ca_file), timeout_seconds=timeout_seconds, proxy=proxy_of(proxy)
        )
        self._user_agent = user_agent
        self._attempts = attempts
        self._limits = limits or RequestLimits()
        self._jitter = jitter
        self._clock = clock
        self._monotonic = monotonic
        self._sleep = sleep

    def __repr__(self) -> str:
        return f"BackpackRest({self.rest_url})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; the client can be used again."""
        await self._transport.close()

    async def get(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        instruction: str | None = None,
        fresh: bool = False,
    ) -> bytes:
        """Return the body of a GET; with `instruction` each attempt is signed anew.

        `fresh` asks past the cache at once. Raises `StaleAnswerError` if only a cache answers, and
        that from too long ago.
        """
        sent = past_the_cache(params or {}, self._clock) if fresh else params
        return (await self.answer(path, sent, instruction=instruction)).body

    async def answer(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        instruction: str | None = None,
        accept_stale: bool = False,
    ) -> Answer:
        """Return the whole answer; `accept_stale` takes an old one when there is no other."""
        answer = await self._patiently(path, params or {}, instruction)
        age = age_seconds(answer.headers)
        if not is_stale(path, age):
            return answer
        self.counters.stale_answers += 1
        LOG.warning("%s: a cache answered, %d s old: asking past it", path, age)
        fresh, why = await self._past_the_cache(path, params or {}, instruction)
        if fresh is not None:
            return fresh
        if accept_stale:
            LOG.warning("%s: taking the answer that is %d s old: %s", path, age, why)
            return answer
        raise StaleAnswerError(f"{path}: the answer is {age} s old: {why}", age)

    async def _past_the_cache(
        self, path: str, params: Mapping[str, str], instruction: str | None
    ) -> tuple[Answer | None, str]:
        """Return an answer of the venue itself, or why there is none."""
        if instruction is not None or not self._may_retry():
            return None, "not asked again"
        try:
            await self._turn(path)
            answer = await self._send(path, past_the_cache(params, self._clock), None)
        except FeedError as error:
            return None, str(error)
        stale = is_stale(path, age_seconds(answer.headers))
        return (None, "and so is the one past the cache") if stale else (answer, "")

    async def _patiently(
        self, path: str, params: Mapping[str, str], instruction: str | None
    ) -> Answer:
        attempt, anew = 0, False
        while True:
            attempt += 1
            await self._turn(path)
            try:
                return await self._send(path, params, instruction, anew=anew)
            except RetryableError as error:
                if attempt >= self._attempts or not self._worth_repeating(error):
                    raise
                at_once = isinstance(error, ConnectionLostError) and not anew
                anew = anew or at_once
            if not at_once:
                await self._sleep(
                    full_jitter(
                        attempt - 1,
                        base_seconds=RETRY_BASE_SECONDS,
                        cap_seconds=RETRY_CAP_SECONDS,
                        jitter=self._jitter,
                    )
                )

    def _worth_repeating(self, error: RetryableError) -> bool:
        if isinstance(error, _USELESS_TO_REPEAT):
            return False
        if self._limits.pause_left(self._monotonic()) > PATIENCE_SECONDS:
            return False
        return self._may_retry()

    def _may_retry(self) -> bool:
        granted = self._limits.may_retry(self._monotonic())
        self.counters.retries += granted
        self.counters.retries_refused += not granted
        return granted

    async def _turn(self, path: str) -> None:
        """Wait until the limits and the venue admit a request."""
        for window in self._limits.turns(path):
            delay_seconds = window.book(self._monotonic())
            if delay_seconds > 0:
                await self._sleep(delay_seconds)
        while (left := self._limits.pause_left(self._monotonic())) > 0:
            if left > PATIENCE_SECONDS:
                raise RateLimitedError(
                    f"{path}: not sent: the venue asked for {left:.0f} s of silence", left
                )
            # whoever waited for the same end must not come back in the same instant
            await self._sleep(left + RETRY_BASE_SECONDS * self._jitter())

    async def _send(
        self,
        path: str,
        params: Mapping[str, str],
        instruction: str | None,
        *,
        anew: bool = False,
    ) -> Answer:
        headers = {"User-Agent": self._user_agent}
        if instruction is not None:
            if self.signer is None:
                raise ConfigError(f"{path}: needs credentials: give a signer")
            headers |= self.signer.headers(instruction, params)
        send = self._transport.get_anew if anew else self._transport.get
        self.counters.requests += 1
        try:
            answer = await send(self.rest_url + path, params, headers)
        except ConnectionLostError:
            self.counters.lost_connections += 1
            raise
        if answer.status == HTTP_OK:
            return answer
        error = refusal(path, answer.status, answer.headers, answer.body, self._clock)
        self.counters.rate_limited += isinstance(error, RateLimitedError)
        if isinstance(error, RetryableError) and error.retry_after_seconds:
            self._limits.pause(error.retry_after_seconds, self._monotonic())
        raise error
