"""The two neighbours of the DAGs, scripted: a Prometheus on a real socket, and a fleet."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from feed_migration.errors import NotReady, StaleEpoch
from feed_migration.fleet.base import InstanceStatus, Variant

type Sample = tuple[dict[str, str], float]
type Script = Callable[[str], Sequence[Sample]]


class ScriptedPrometheus:
    """Answers instant queries with what `script` says of their text; counts them.

    Where `clock` gives None it does not say what time it is.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.queries: list[str] = []
        self.clock: Callable[[], float | None] = time.time
        self.url = ""

    @contextmanager
    def serving(self) -> Iterator["ScriptedPrometheus"]:
        server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def reply(self, query: str, at_unix: float) -> dict[str, object]:
        if query == "time()":
            if (now := self.clock()) is None:
                return {"status": "error", "errorType": "unavailable", "error": "starting"}
            value = [at_unix, str(now)]
            return {"status": "success", "data": {"resultType": "scalar", "result": value}}
        self.queries.append(query)
        result = [
            {"metric": labels, "value": [at_unix, str(value)]}
            for labels, value in self.script(query)
        ]
        return {"status": "success", "data": {"resultType": "vector", "result": result}}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        prometheus = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer(urlsplit(self.path).query)

            def do_POST(self) -> None:
                self._answer(self.rfile.read(int(self.headers["Content-Length"])).decode())

            def _answer(self, form: str) -> None:
                values = parse_qs(form)
                at = float(values.get("time", [str(time.time())])[0])
                body = json.dumps(prometheus.reply(values.get("query", [""])[0], at)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                """Keep the test output clean."""

        return Handler


@dataclass
class ScriptedFleet:
    """A fleet in memory that keeps the promises of `fleet.base.Fleet`."""

    names: Sequence[str]
    shadows: Sequence[str] = ("shadow-00",)
    variants: dict[str, str] = field(default_factory=dict)
    shadow_pids: dict[str, int] = field(default_factory=dict)
    history: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    ready_deadline_seconds: float = 5.0
    max_unavailable: int = 2
    _epoch: int = 0
    _messages: int = 0

    def epoch(self) -> int:
        return self._epoch

    def instances(self) -> tuple[InstanceStatus, ...]:
        self._messages += 1
        return tuple(self._status(name, self.variants.get(name, "ccxt"), 1) for name in self.names)

    def shadow_instances(self) -> tuple[InstanceStatus, ...]:
        return tuple(self._status(n, "both", self.shadow_pids.get(n, 0)) for n in self.shadows)

    def set_variant(
        self,
        ids: Sequence[str],
        variant: Variant,
        *,
        epoch: int,
        max_unavailable: int | None = None,
    ) -> None:
        self._admit(epoch)
        self.history.append((variant, tuple(ids)))
        self.variants.update(dict.fromkeys(ids, variant))

    def wait_ready(
        self,
        ids: Sequence[str],
        variant: Variant | None,
        deadline_seconds: float,
        *,
        epoch: int | None = None,
    ) -> None:
        if epoch is not None:
            self._admit(epoch)
        wrong = tuple(
            name
            for name in ids
            if name in self.names and variant not in {None, self.variants.get(name, "ccxt")}
        )
        if wrong:
            raise NotReady(wrong, {}, deadline_seconds)

    def remaining(self, ids: Sequence[str]) -> tuple[str, ...]:
        return tuple(name for name in ids if name in {*self.names, *self.shadow_pids})

    def start_shadow(self, epoch: int) -> None:
        self._admit(epoch)
        self.shadow_pids = dict.fromkeys(self.shadows, 7)

    def stop_shadow(self, epoch: int) -> None:
        self._admit(epoch)
        self.shadow_pids = {}

    def log_tails(self, ids: Sequence[str], lines: int) -> dict[str, tuple[str, ...]]:
        return dict.fromkeys(ids, ("WARNING scripted",))

    def _admit(self, epoch: int) -> None:
        if epoch < self._epoch:
            raise StaleEpoch(presented=epoch, current=self._epoch)
        self._epoch = epoch

    def _status(self, name: str, variant: str, pid: int) -> InstanceStatus:
        return InstanceStatus(
            id=name,
            variant=variant,
            ready=True,
            healthy=True,
            reasons=(),
            url="http://127.0.0.1:1",
            messages=self._messages,
            trades=self._messages,
            pid=pid,
            started_at=1.0,
        )
