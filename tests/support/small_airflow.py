"""An HTTP server that answers like Airflow's REST API where the shell commands need it."""

import json
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit


class SmallAirflow:
    """`requests` holds (method, decoded path, body); `approvals` what waits for a person.

    `run_states` are what a DAG run says of itself, one after the other and then the last one again;
    `living` is run id → state of the DAG's other runs; `cleared` the tasks that clearing one clears; `lacks` is what it answers 404 to; `refuses` is
    method → (status, detail) of what it says no to.
    """

    def __init__(self) -> None:
        self.url = ""
        self.password = "correct horse"
        self.paused = False
        self.approvals: list[dict] = []
        self.requests: list[tuple[str, str, dict | None]] = []
        self.run_states = ["failed"]
        self.cleared = ["begin", "cutover_50.gate", "verdict"]
        self.lacks = "/nothing"
        self.living: dict[str, str] = {}
        self.refuses: dict[str, tuple[int, str]] = {}

    def wait_for(
        self,
        task_id: str,
        *may_answer: str,
        asked_seconds_ago: float = 60.0,
        run_id: str = "manual__2026-10-02T10:15:30+00:00",
        options: tuple[str, ...] = ("Approve", "Reject"),
    ) -> None:
        task = {
            "dag_id": "backpack_migration",
            "dag_run_id": run_id,
            "task_id": task_id,
            "map_index": -1,
            "state": "deferred",
        }
        users = [{"id": name, "name": name} for name in may_answer]
        subject = f"Start {task_id}?"
        self.approvals.append(
            {
                "task_instance": task,
                "subject": subject,
                "options": list(options),
                "created_at": (
                    datetime.now(UTC) - timedelta(seconds=asked_seconds_ago)
                ).isoformat(),
                "assigned_users": users,
                "params": {"reason": {"value": ""}},
            }
        )

    def answer(self, method: str, path: str, body: dict | None, token: str) -> tuple[int, dict]:
        self.requests.append((method, path, body))
        if path == "/auth/token":
            if body and body["password"] == self.password:
                return 201, {"access_token": "t0ken"}
            return 401, {"detail": "Invalid credentials"}
        if token != "Bearer t0ken":
            return 401, {"detail": "Not authenticated"}
        if self.lacks in path:
            return 404, {"detail": "not found"}
        if method in self.refuses:
            status, detail = self.refuses[method]
            return status, {"detail": detail}
        return 200, self._said(method, path)

    def _said(self, method: str, path: str) -> dict:
        if "/hitlDetails" in path:
            return {} if method == "PATCH" else {"hitl_details": self._asked(path)}
        if path.endswith("/clearTaskInstances"):
            return {"task_instances": [{"task_id": name} for name in self.cleared]}
        if "/dagRuns/" in path:
            more = len(self.run_states) > 1
            return {"state": self.run_states.pop(0) if more else self.run_states[0]}
        if "/dagRuns?" in path:
            wanted = parse_qs(urlsplit(path).query)["state"]
            runs = [{"dag_run_id": run, "state": state} for run, state in self.living.items()]
            return {"dag_runs": [run for run in runs if run["state"] in wanted]}
        started = path.endswith("/dagRuns")
        return {"dag_run_id": "manual__1"} if started else {"is_paused": self.paused}

    def _asked(self, path: str) -> list[dict]:
        wanted = parse_qs(urlsplit(path).query).get("state")
        return [
            one for one in self.approvals if not wanted or one["task_instance"]["state"] in wanted
        ]


@contextmanager
def small_airflow():
    """Yield a `SmallAirflow` that listens on loopback."""
    airflow = SmallAirflow()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self._answer()

        def do_POST(self):
            self._answer()

        def do_PATCH(self):
            self._answer()

        def _answer(self):
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if size else None
            token = self.headers.get("Authorization", "")
            status, answer = airflow.answer(self.command, unquote(self.path), body, token)
            raw = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *arguments):
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        airflow.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield airflow
        finally:
            server.shutdown()
            thread.join()
