"""Forged and broken Prometheus answers, over HTTP, through the client that runs in production."""

import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from feed_migration.gates.run import GateRun
from feed_migration.model import Band, Criterion, Decision, Gate
from feed_migration.prometheus.client import PrometheusSource
from tests.support.gate_traces import MemoryLog
from tests.support.http_server import Reply, http_server, send

TICKS = 5
# among so many answers every kind of forgery comes up
MANY_ANSWERS = 300
GOOD: list[tuple[dict[str, str], Any]] = [
    ({"instance_id": f"feed-{index:02}", "variant": "native"}, "0.4") for index in range(3)
]
CRITERION = Criterion(
    name="age",
    query="value",
    baseline_query="baseline",
    freshness_query="age",
    max_age_seconds=45.0,
    success=Band(maximum=30),
    failure=Band(minimum=45),
    expect_series="fleet",
    confirm_interval_seconds=1.0,
)
# as easily content as a gate can be: what keeps it from a Promote is the answers alone
GATE = Gate(
    interval_seconds=5.0,
    min_duration_seconds=(TICKS - 1) * 5.0,
    max_duration_seconds=1000.0,
    min_coverage=0.01,
    blind_limit_seconds=900.0,
    on_blind=Decision.HOLD,
    criteria=(CRITERION,),
)


def reply(result: Any, **changes: Any) -> Reply:
    """A success, as Prometheus writes it, with changes."""
    data = {"resultType": "vector", "result": result}
    return 200, {}, json.dumps({"status": "success", "data": data, **changes}).encode()


def vector(series: list[tuple[dict[str, str], Any]]) -> list[dict[str, Any]]:
    """Series as the result of an instant query."""
    return [{"metric": labels, "value": [0, value]} for labels, value in series]


def _spoiled(chance: random.Random) -> Reply:
    """One value that is none, or not good, among good ones."""
    bad = [
        "NaN", "+Inf", "-Inf", "45", "1e309", "-1e309", "31", "nan ", "", "x", "0x1p3",
        None, 0.4, True, [], {}, "0.4;", "１e9", "9" * 400,
    ]  # fmt: skip
    series = [*GOOD]
    at = chance.randrange(len(series))
    series[at] = (series[at][0], chance.choice(bad))
    return reply(vector(series))


def _fewer(chance: random.Random) -> Reply:
    """Too few instances, the same one three times, or series of nobody."""
    few = chance.sample(GOOD, chance.randrange(3))
    return reply(vector(chance.choice([few, [GOOD[0]] * 3, [({}, "0.4")] * 3, []])))


def _torn(chance: random.Random) -> Reply:
    """Cut anywhere, or with bytes changed into what no JSON has."""
    status, headers, body = reply(vector(GOOD))
    cut = chance.randrange(len(body) - 1)
    return status, headers, chance.choice([body[:cut], b"\x00" + body, body[:cut] + b"]}" * 9])


def _refused(chance: random.Random) -> Reply:
    """Good data under a status that is not 200, or a redirect to it."""
    status = chance.choice([201, 204, 206, 300, 302, 307, 400, 403, 404, 422, 429, 500, 503])
    body = b"" if status == 204 else reply(vector(GOOD))[2]
    return status, {"Location": "/api/v1/query?query=good"} if status < 400 else {}, body


def _unsuccessful(chance: random.Random) -> Reply:
    """Good data beside a status, a warning or a type that spoils it."""
    changes: list[dict[str, Any]] = [
        {"status": "error"},
        {"status": None},
        {"status": ["success"]},
        {"warnings": ["partial response"]},
        {"warnings": "x"},
        {"data": None},
        {"data": {"resultType": "matrix", "result": vector(GOOD)}},
        {"data": {"resultType": "string", "result": [0, "0.4"]}},
        {"data": {"resultType": "vector", "result": {"0": vector(GOOD)}}},
        {"data": {"resultType": "vector", "result": None}},
        {"data": {"resultType": "scalar", "result": [0, "0.4"]}},
    ]
    return reply(vector(GOOD), **chance.choice(changes))


def _other_shape(chance: random.Random) -> Reply:
    """Any JSON but the right one."""
    values: list[Any] = [
        None, 0, "success", [], {}, [vector(GOOD)], {"status": "success"},
        {"data": {"resultType": "vector", "result": vector(GOOD)}},
        {"status": "success", "data": {"result": [[]]}},
        {"status": "success", "data": {"result": [{"metric": {}, "value": []}]}},
        {"status": "success", "data": {"result": [{"metric": [], "value": [0, "0.4"]}]}},
        {"status": "success", "data": {"result": [{"value": [0, "0.4"]}] * 3}},
        {"status": "success", "data": {"result": [{"metric": {}, "values": [[0, "1"]]}] * 3}},
    ]  # fmt: skip
    return 200, {}, json.dumps(chance.choice(values)).encode()


FORGERIES: tuple[Callable[[random.Random], Reply], ...] = (
    _spoiled,
    _fewer,
    _torn,
    _refused,
    _unsuccessful,
    _other_shape,
)


class Forger:
    """Answers `value` with a forgery; the other queries well, or not at all.

    `delivered` counts the forgeries of `value` that went out whole, by kind.
    """

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.delivered = Counter[str]()
        self._lock = threading.Lock()
        self._kind = ""

    @property
    def forged(self) -> int:
        """How many forgeries somebody got."""
        return self.delivered.total()

    def sent(self, query: str) -> None:
        """The last reply to `query` has gone out."""
        if query == "value":
            self.delivered["_old" if self.stale else self._kind] += 1

    def reply(self, query: str) -> Reply:
        """The next reply; where value is good, its age is not."""
        with self._lock:
            if query == "value":
                self.stale = self.chance.random() < 0.1
                return reply(vector(GOOD)) if self.stale else self._forgery()
            if query == "age":
                ages = ["46", "-46", "1e9", "NaN", "+Inf", "-Inf"] if self.stale else ["2"]
                return reply(vector([({}, self.chance.choice(ages))]))
            good = reply(vector(GOOD))
            return good if self.chance.random() < 0.5 else self._forgery()

    def _forgery(self) -> Reply:
        forgery = self.chance.choice(FORGERIES)
        self._kind = forgery.__name__
        return forgery(self.chance)


class Honest:
    """Answers every query well."""

    def reply(self, query: str) -> Reply:
        """The next reply."""
        return reply(vector([({}, "2")] if query == "age" else GOOD))

    def sent(self, query: str) -> None:
        """Nobody counts these."""


@contextmanager
def serving(forger: Forger | Honest) -> Iterator[str]:
    """The forger behind HTTP on a free port."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        query = parse_qs(urlsplit(request.path).query).get("query", [""])[0]
        send(request, forger.reply(query))
        forger.sent(query)

    with http_server(answer) as url:
        yield url


def complaints(found: Mapping[str, Any]) -> list[str]:
    """Why the promise is broken, or was not put to the proof."""
    wrong = []
    if found["forged_promotes"]:
        wrong.append(f"{found['forged_promotes']} gates over forgeries promoted")
    if not found["forged_answers"]:
        wrong.append("no forged answer was delivered")
    if found["forged_answers"] >= MANY_ANSWERS:
        kinds = {forgery.__name__ for forgery in FORGERIES}
        never = sorted(kinds - set(found["forged_by_kind"]))
        wrong += [f"no forgery of the kind {kind} was delivered" for kind in never]
    if not found["honest_promotes"]:
        wrong.append("the gate does not promote over honest answers either")
    return wrong


def forged(answers: int, seed: int) -> dict[str, Any]:
    """Gates over nothing but forgeries, until there were `answers` of them; none may promote.

    The same gate over honest answers has to. Ends early where a gate asks nothing.
    """
    forger, promotes, runs = Forger(seed), [], 0
    with serving(Honest()) as url:
        honest = _verdict(url)
    with serving(forger) as url:
        while forger.forged < answers:
            began = forger.forged
            if _verdict(url) is Decision.PROMOTE:
                promotes.append(began)
            runs += 1
            if forger.forged == began:
                break
    return {
        "forged_answers": forger.forged,
        "forged_by_kind": dict(sorted(forger.delivered.items())),
        "forged_runs": runs,
        "forged_promotes": len(promotes),
        "promoted_at": promotes[:10],
        "honest_promotes": honest is Decision.PROMOTE,
        "seed": seed,
    }


def _verdict(url: str) -> Decision:
    run = GateRun(
        gate=GATE,
        step_name="cutover-10",
        migration_id="mig",
        started_unix=1_000_000.0,
        fleet_size=3,
        source=PrometheusSource(url, 2.0),
        journal=MemoryLog(),
    )
    verdict = run.tick(1_000_000.0)
    while not verdict.final and run.next_due_unix() < 1_000_000.0 + TICKS * 5.0:
        verdict = run.tick(run.next_due_unix())
    return verdict.decision
