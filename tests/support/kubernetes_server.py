"""An API server on loopback in front of a `Cluster`: kmock's HTTP and Status answers, real faults.

Every answer and every patched object is checked against the models of the official client, which
are generated from the published OpenAPI documents. `/pods/<name>/snapshot` is the handler's port.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import aiohttp.web
import kmock
from kubernetes.client import V1StatefulSet
from pydantic import ValidationError

from tests.support.kubernetes_cluster import Cluster, ConflictError, Document, MissingError

TOKEN = "tok-3f9a1c77e2b84d50"
_STATUS = {409: "Conflict", 429: "TooManyRequests", 500: "InternalError", 503: "Unavailable"}


class ApiServer(kmock.KubernetesScaffold):
    """Serves one cluster. `faults` come due one per request: (method or "", what).

    What: a status number; "reset" (before the act); "lost" (the act is done, the answer is not
    sent); "hang" (no answer while the connection lasts). `before_act` sees each write first.
    """

    def __init__(self, cluster: Cluster) -> None:
        super().__init__()
        # kmock's classes have slots for what attrs knows, and a dictionary for the rest
        self.cluster = cluster
        self.faults: deque[tuple[str, int | str]] = deque()
        self.down = False
        self.used: set[tuple[str, str]] = set()
        self.before_act: Callable[[str], None] = lambda act: None

    async def _handle(self, request: kmock.Request) -> aiohttp.web.StreamResponse:
        path = request.url.path
        if path.startswith("/pods/"):
            return self._handler_port(request, path.split("/")[2])
        if self.down:
            return _abort(request)
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise kmock.KubernetesError(401, "Unauthorized", "Unauthorized")
        fault = self._due(str(request.method.value))
        if fault == "reset":
            return _abort(request)
        if fault == "hang":
            await asyncio.sleep(3600)
        if isinstance(fault, int):
            return _refusal(fault)
        answer = self._answer(request)
        return _abort(request) if fault == "lost" else answer

    def _due(self, method: str) -> int | str | None:
        if self.faults and self.faults[0][0] in {"", method}:
            return self.faults.popleft()[1]
        return None

    def _handler_port(self, request: kmock.Request, name: str) -> aiohttp.web.StreamResponse:
        answer = self.cluster.snapshot(name)
        return _abort(request) if answer is None else aiohttp.web.json_response(answer)

    def _answer(self, request: kmock.Request) -> aiohttp.web.StreamResponse:
        kind = request.resource.plural if request.resource else None
        if request.namespace != "backpack":
            raise kmock.KubernetesError(403, "Forbidden", "no access to this namespace")
        verb = {"get": "get" if request.name else "list"}.get(
            request.method.value.lower(), request.method.value.lower()
        )
        what = f"{kind}/{request.subresource}" if request.subresource else str(kind)
        self.used.add((verb, what))
        if verb in {"patch", "delete"}:
            self.before_act(f"{verb} {request.name}")
        try:
            return self._act(verb, what, request)
        except MissingError as error:
            raise kmock.KubernetesError(404, "NotFound", f"{what} {error} not found") from error
        except ConflictError as error:
            raise kmock.KubernetesError(409, "Conflict", str(error)) from error
        except ValidationError as error:
            raise kmock.KubernetesError(422, "Invalid", str(error)) from error

    def _act(self, verb: str, what: str, request: kmock.Request) -> aiohttp.web.StreamResponse:
        acts: dict[tuple[str, str], Callable[[kmock.Request], Document | str]] = {
            ("get", "statefulsets"): lambda r: self.cluster.read_set(r.name),
            ("patch", "statefulsets"): self._patch,
            ("get", "controllerrevisions"): lambda r: self.cluster.read_revision(r.name),
            ("list", "pods"): lambda r: self._pods(r.params.get("labelSelector", "")),
            ("delete", "pods"): self._delete,
            ("get", "pods/log"): lambda r: self.cluster.log(r.name),
        }
        if (verb, what) not in acts:
            raise kmock.KubernetesError(404, "NotFound", f"{verb} {what}")
        answer = acts[verb, what](request)
        if isinstance(answer, str):
            return aiohttp.web.Response(text=answer)
        return aiohttp.web.json_response(answer)

    def _patch(self, request: kmock.Request) -> Document:
        kind = request.headers.get("Content-Type")
        if kind != "application/strategic-merge-patch+json":
            raise kmock.KubernetesError(415, "UnsupportedMediaType", f"{kind}")
        return self.cluster.patch_set(request.name, request.data, _check)

    def _delete(self, request: kmock.Request) -> Document:
        uid = (request.data or {}).get("preconditions", {}).get("uid")
        return _public(self.cluster.delete_pod(request.name, uid))

    def _pods(self, selector: str) -> Document:
        wanted = dict(pair.split("=") for pair in selector.split(",") if pair)
        with self.cluster.lock:
            found = [
                _public(pod)
                for pod in self.cluster.pods.values()
                if wanted.items() <= pod["metadata"]["labels"].items()
            ]
        return {"metadata": {}, "items": found}


class RunningServer:
    """An `ApiServer` in a thread of its own; stop it."""

    def __init__(self, cluster: Cluster) -> None:
        self.api = ApiServer(cluster)
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kubernetes-api", daemon=True)
        self._thread.start()
        assert self._started.wait(10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(timeout=10)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        async with self.api, kmock.Server(self.api) as server:
            self.url = str(server.url).rstrip("/")
            self._started.set()
            await self._stop.wait()


def _check(document: Document) -> None:
    V1StatefulSet.model_validate(document)


def _public(pod: Document) -> Document:
    return {key: pod[key] for key in ("metadata", "spec", "status")}


def _abort(request: kmock.Request) -> aiohttp.web.StreamResponse:
    raw: Any = request._raw_request
    raw.transport.abort()
    return aiohttp.web.Response()


def _refusal(status: int) -> aiohttp.web.StreamResponse:
    body = {"kind": "Status", "code": status, "message": _STATUS[status]}
    headers = {"Retry-After": "1"} if status == 429 else {}
    return aiohttp.web.json_response(body, status=status, headers=headers)
