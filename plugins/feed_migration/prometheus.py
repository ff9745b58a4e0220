"""Prometheus as a source of answers; what it does wrong is an answer with an error, never raised.

One answer is one to three instant queries at the same evaluation time: value, baseline, freshness.
"""

import re
from collections.abc import Mapping
from math import isnan
from typing import Any

import requests
from prometheus_api_client import PrometheusApiClientException, PrometheusConnect
from urllib3.util.retry import Retry

from feed_migration.model import Answer, Criterion, Series
from feed_migration.promql import freshness_query

_NO_RETRY = Retry(total=0)
_CREDENTIALS = re.compile(r"//[^/@\s]*@")
_TEXT_LIMIT = 300


class UnusableReply(requests.RequestException):
    """Prometheus replied, but not with a plain vector of complete data."""


class PrometheusSource:
    """Answers criteria from one Prometheus, Thanos or Mimir; safe to use from several threads.

    `timeout_seconds` bounds connecting, and every wait for the next bytes, of one query. There are
    no retries: the next tick is the retry, and a slow verdict would be worse than a missing sample.
    """

    def __init__(self, url: str, timeout_seconds: float = 5.0) -> None:
        self._url = url.rstrip("/")
        self._timeout_seconds = timeout_seconds

    def answer(self, criterion: Criterion, at_unix: float) -> Answer:
        """Ask `criterion` as of `at_unix`, in unix seconds; problems are in `Answer.error`."""
        with _StrictSession() as session:
            # a client of its own per answer: sessions are not made for threads
            client = PrometheusConnect(
                url=self._url,
                retry=_NO_RETRY,
                session=session,
                timeout=self._timeout_seconds,
            )
            try:
                series = _vector(client, criterion.query, at_unix)
                age_seconds = _age_seconds(client, criterion, at_unix)
            except _PROBLEMS as problem:
                return Answer(error=_one_line(problem))
            try:
                baseline = (
                    _vector(client, criterion.baseline_query, at_unix)
                    if criterion.baseline_query is not None
                    else None
                )
            except _PROBLEMS as problem:
                return Answer(
                    series=series, age_seconds=age_seconds, baseline_error=_one_line(problem)
                )
        return Answer(series=series, baseline=baseline, age_seconds=age_seconds)


class _StrictSession(requests.Session):
    """Follows no redirect, and refuses replies that `custom_query` would take for data."""

    def request(self, *arguments: Any, **options: Any) -> requests.Response:
        options["allow_redirects"] = False
        response = super().request(*arguments, **options)
        if response.status_code == requests.codes.ok:
            _check(response.json())
        return response


def _check(reply: Any) -> None:
    """Raise UnusableReply unless the reply says success, without warnings, in a known type."""
    if not isinstance(reply, dict) or reply.get("status") != "success":
        raise UnusableReply(f"no success: {str(reply)[:_TEXT_LIMIT]}")
    if warnings := reply.get("warnings"):
        raise UnusableReply(f"warnings: {warnings}")
    data = reply.get("data")
    if not isinstance(data, dict) or not isinstance(data.get("result"), list):
        raise UnusableReply("no result in the reply")
    if data.get("resultType", "vector") not in {"vector", "scalar"}:
        raise UnusableReply(f"a {data['resultType']} is no instant vector")


# RecursionError: a reply of a hundred thousand brackets; the rest: whatever forged JSON can hold
_PROBLEMS = (
    requests.RequestException,
    PrometheusApiClientException,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    RecursionError,
)


def _vector(client: PrometheusConnect, query: str, at_unix: float) -> tuple[Series, ...]:
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
    return float(text)


def _age_seconds(client: PrometheusConnect, criterion: Criterion, at_unix: float) -> float | None:
    if criterion.max_age_seconds is None:
        return None
    ages = [value for _, value in _vector(client, freshness_query(criterion), at_unix)]
    # no comparison with NaN is true, so max would pass one over
    return next((age for age in ages if isnan(age)), max(ages, default=None))


def _one_line(problem: Exception) -> str:
    """The problem as one line that shows no credentials of the URL."""
    text = " ".join(f"{type(problem).__name__}: {problem}".split())
    return _CREDENTIALS.sub("//***@", text)[:_TEXT_LIMIT]
