"""Prometheus as a source of answers; what it does wrong is an answer with an error, never raised.

One answer is one to five queries at the same evaluation time: value, freshness, baseline, and the
exposures of both. What was missed comes as range queries, evaluated at the very times of the ticks.
Criteria share queries (a baseline, an age), so the same one at the same time is asked once.
"""

import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from itertools import repeat
from math import fsum, isfinite, isnan
from threading import Condition
from typing import Any

import requests
from cachetools import TTLCache, cached
from prometheus_api_client import PrometheusApiClientException, PrometheusConnect
from urllib3.exceptions import HTTPError
from urllib3.util.retry import Retry

from feed_migration.model import Answer, Criterion, Series
from feed_migration.numbers_json import number_from_text
from feed_migration.prometheus.promql import freshness_query
from feed_migration.whole_body import EndlessReply, OverlongReply, whole_body

_NO_RETRY = Retry(total=0)
_CREDENTIALS = re.compile(r"//[^/@\s]*@")
_TEXT_LIMIT = 300
# An hour of ticks of a thousand instances is 7 MB.
REPLY_BYTES = 32 * 1024 * 1024
# Longer than the criteria of a tick are apart, shorter than anybody's wait before asking again.
SHARED_SECONDS = 1.0
SHARED_QUERIES = 256
_INSTANT, _RANGE = frozenset({"vector", "scalar"}), frozenset({"matrix"})

type Vector = tuple[Series, ...]


class UnusableReply(requests.RequestException):
    """Prometheus replied, but not with a plain vector of complete data."""


class _KnownProblem(UnusableReply):
    """Carries a problem that was put into words where it arose."""


class PrometheusSource:
    """Answers criteria from one Prometheus, Thanos or Mimir; safe to use from several threads.

    `timeout_seconds` bounds connecting, every wait for the next bytes, and the whole body of one
    query. There are no retries: the next tick is the retry, and a slow verdict would be worse than
    a missing sample.
    """

    def __init__(
        self,
        url: str,
        timeout_seconds: float = 5.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url.rstrip("/")
        self._timeout_seconds = timeout_seconds
        self._monotonic = monotonic
        # what is asked again shares nothing with the first asking
        self._asked, self._asked_again = _shared(monotonic), _shared(monotonic)

    def answer(self, criterion: Criterion, at_unix: float, *, again: bool = False) -> Answer:
        """Ask `criterion` as of `at_unix`, in unix seconds; problems are in `Answer.error`.

        Asked `again`, nothing is taken over from who asked before, only from each other.
        """
        vector_at = self._asked_again if again else self._asked
        with _StrictSession(self._timeout_seconds, self._monotonic) as session:
            # a client of its own per answer: sessions are not made for threads
            client = PrometheusConnect(
                url=self._url,
                retry=_NO_RETRY,
                session=session,
                timeout=self._timeout_seconds,
            )

            def fetch(query: str) -> list[Vector]:
                found = vector_at(client, query, at_unix)
                if isinstance(found, str):
                    raise _KnownProblem(found)
                return [found]

            return _answers(criterion, fetch)[0]

    def refusal(self, query: str) -> str:
        """Why Prometheus refuses `query` whatever the data (HTTP 400); empty where it does not."""
        try:
            with _StrictSession(self._timeout_seconds, self._monotonic) as session:
                session.get(
                    f"{self._url}/api/v1/query",
                    params={"query": query},
                    timeout=self._timeout_seconds,
                )
        except requests.RequestException as problem:
            reply = problem.response
            bad = reply is not None and reply.status_code == requests.codes.bad_request
            return _said(reply) if reply is not None and bad else ""
        except _PROBLEMS:
            return ""
        return ""

    def now_unix(self) -> float | None:
        """Return what time it is by the clock of Prometheus, None where it does not say."""
        with (
            suppress(*_PROBLEMS),
            _StrictSession(self._timeout_seconds, self._monotonic) as session,
        ):
            reply = session.get(
                f"{self._url}/api/v1/query",
                params={"query": "time()"},
                timeout=self._timeout_seconds,
            )
            seen = _number(reply.json()["data"]["result"][1])
            return seen if isfinite(seen) else None
        return None

    def history(
        self, criterion: Criterion, first_unix: float, step_seconds: float, count: int
    ) -> list[Answer]:
        """Ask `criterion` as of `count` past times, `step_seconds` apart, with one query each.

        A problem is in the error of the one answer that stands for all of them then.
        """
        with _StrictSession(self._timeout_seconds, self._monotonic) as session:

            def fetch(query: str) -> list[Vector]:
                last_unix = first_unix + step_seconds * (count - 1)
                reply = session.get(
                    f"{self._url}/api/v1/query_range",
                    params={
                        "query": query,
                        "start": f"{first_unix:.3f}",
                        "end": f"{last_unix + 0.001:.3f}",
                        "step": f"{step_seconds:.3f}",
                    },
                    timeout=self._timeout_seconds,
                )
                return _vectors(reply.json()["data"]["result"], first_unix, step_seconds, count)

            return _answers(criterion, fetch)


def _answers(criterion: Criterion, fetch: Callable[[str], list[Vector]]) -> list[Answer]:
    """An answer for each time that `fetch` asks; a single one if it cannot be had."""
    try:
        series = fetch(criterion.query)
        ages = _ages(criterion, fetch)
    except _PROBLEMS as problem:
        return [Answer(error=_one_line(problem))]
    known = [
        Answer(series=one, age_seconds=age)
        for one, age in zip(series, ages or repeat(None))  # noqa: B905
    ]
    if criterion.baseline_query is None:
        return known
    try:
        return _beside_baseline(criterion, criterion.baseline_query, known, fetch)
    except _PROBLEMS as problem:
        return [replace(one, baseline_error=_one_line(problem)) for one in known]


def _ages(criterion: Criterion, fetch: Callable[[str], list[Vector]]) -> list[float | None]:
    if criterion.max_age_seconds is None:
        return []
    return [_oldest(vector) for vector in fetch(freshness_query(criterion))]


def _beside_baseline(
    criterion: Criterion, query: str, known: list[Answer], fetch: Callable[[str], list[Vector]]
) -> list[Answer]:
    baselines = fetch(query)
    found = [
        replace(one, baseline=baseline) for one, baseline in zip(known, baselines, strict=True)
    ]
    comparison = criterion.comparison
    if comparison is None or comparison.exposure_query is None:
        return found
    exposures = fetch(comparison.exposure_query)
    others = fetch(comparison.baseline_exposure_query or comparison.exposure_query)
    return [
        replace(one, exposure=_total(mine), baseline_exposure=_total(theirs))
        for one, mine, theirs in zip(found, exposures, others, strict=True)
    ]


def _total(vector: Vector) -> float | None:
    """The sum of all series, which is NaN if one of them is; None without any."""
    return fsum(value for _, value in vector) if vector else None


class _StrictSession(requests.Session):
    """Follows no redirect and refuses every reply but a 200 with plain, complete data.

    A body is read for at most `timeout_seconds` and up to `REPLY_BYTES`, unpacked.
    """

    def __init__(self, timeout_seconds: float, monotonic: Callable[[], float]) -> None:
        super().__init__()
        self._timeout_seconds = timeout_seconds
        self._monotonic = monotonic

    def _body(self, response: requests.Response) -> bytes:
        try:
            return whole_body(
                lambda size: bytes(response.raw.read1(size, decode_content=True)),
                most_bytes=REPLY_BYTES,
                seconds=self._timeout_seconds,
                monotonic=self._monotonic,
            )
        except OverlongReply as error:
            raise UnusableReply(f"{error}; aggregate the query") from error
        except EndlessReply as error:
            raise UnusableReply(str(error)) from error

    def request(self, *arguments: Any, **options: Any) -> requests.Response:
        options["allow_redirects"] = False
        options["stream"] = True
        response = super().request(*arguments, **options)
        response.raw = BytesIO(self._body(response))
        if response.status_code != requests.codes.ok:
            text = f"HTTP {response.status_code}: {response.text[:_TEXT_LIMIT]}"
            raise UnusableReply(text, response=response)
        _check(response.json(), _RANGE if "/query_range" in response.url else _INSTANT)
        return response


def _check(reply: Any, kinds: frozenset[str]) -> None:
    """Raise UnusableReply unless the reply says success, without warnings, in a known type."""
    if not isinstance(reply, dict) or reply.get("status") != "success":
        raise UnusableReply(f"no success: {str(reply)[:_TEXT_LIMIT]}")
    if warnings := reply.get("warnings"):
        raise UnusableReply(f"warnings: {warnings}")
    data = reply.get("data")
    if not isinstance(data, dict) or not isinstance(data.get("result"), list):
        raise UnusableReply("no result in the reply")
    if data.get("resultType", min(kinds)) not in kinds:
        raise UnusableReply(f"a {data['resultType']} is none of {', '.join(sorted(kinds))}")


# RecursionError: a reply of a hundred thousand brackets; ArithmeticError: numbers beyond a float;
# the rest: whatever forged JSON can hold
_PROBLEMS = (
    requests.RequestException,
    PrometheusApiClientException,
    HTTPError,
    ArithmeticError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    RecursionError,
)


def _shared(monotonic: Callable[[], float]) -> Callable[..., Vector | str]:
    """`_vector_or_problem`, once for all who ask the same within `SHARED_SECONDS`."""
    return cached(
        TTLCache(SHARED_QUERIES, SHARED_SECONDS, timer=monotonic),
        key=lambda _client, query, at_unix: (query, at_unix),
        condition=Condition(),
    )(_vector_or_problem)


def _vector_or_problem(client: PrometheusConnect, query: str, at_unix: float) -> Vector | str:
    """The vector or the problem as a line, shared as well: ten criteria wait for one timeout."""
    try:
        return _vector(client, query, at_unix)
    except _PROBLEMS as problem:
        return _one_line(problem)


def _vector(client: PrometheusConnect, query: str, at_unix: float) -> Vector:
    result = client.custom_query(query, params={"time": f"{at_unix:.3f}"})
    # a scalar comes as one bare [time, "value"] pair
    if len(result) == 2 and not isinstance(result[0], Mapping):  # noqa: PLR2004
        return (((), _number(result[1])),)
    return tuple((_labels(sample["metric"]), _number(sample["value"][1])) for sample in result)


def _labels(metric: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((str(name), str(value)) for name, value in metric.items()))


def _number(text: object) -> float:
    if not isinstance(text, str):
        raise UnusableReply(f"a sample value must be a string, was {text!r}")
    return number_from_text(text)


def _vectors(result: Any, first_unix: float, step_seconds: float, count: int) -> list[Vector]:
    """A matrix, turned: the vector of each time; raises what unusable JSON raises."""
    times: list[list[Series]] = [[] for _ in range(count)]
    for series in result:
        labels = _labels(series["metric"])
        for at_unix, text in series["values"]:
            slot = round((at_unix - first_unix) / step_seconds)
            if not 0 <= slot < count:
                raise UnusableReply(f"a sample at {at_unix}, which was not asked for")
            times[slot].append((labels, _number(text)))
    return [tuple(vector) for vector in times]


def _oldest(vector: Vector) -> float | None:
    ages = [value for _, value in vector]
    # no comparison with NaN is true, so max would pass one over
    return next((age for age in ages if isnan(age)), max(ages, default=None))


def _said(reply: requests.Response) -> str:
    """The error of a reply in Prometheus's words, or all of it."""
    text = reply.text
    with suppress(*_PROBLEMS):
        text = str(reply.json()["error"])
    return " ".join(text.split())[:_TEXT_LIMIT] or f"HTTP {reply.status_code}"


def _one_line(problem: Exception) -> str:
    """The problem as one line that shows no credentials of the URL."""
    if isinstance(problem, _KnownProblem):
        return str(problem)
    text = " ".join(f"{type(problem).__name__}: {problem}".split())
    return _CREDENTIALS.sub("//***@", text)[:_TEXT_LIMIT]
