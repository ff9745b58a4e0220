"""Airflow's REST API, as far as an operator at a shell needs it: start, approve, clear a gate."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import requests

from feed_migration.deployment import AirflowSettings
from feed_migration.errors import AirflowUnavailable, MigrationError, Refused, UsageError

TIMEOUT_SECONDS = 15.0
MAX_NOTE = 1000
_CREATED = 201
# Airflow's words lead with the place and end with what is wrong, with what was said between them
_HEAD_CHARACTERS, _TAIL_CHARACTERS = 120, 80


class AirflowApi:
    """A session with Airflow's API server. Raises `AirflowUnavailable`, `Refused` or `UsageError`.

    The password comes from AIRFLOW_PASSWORD or from the file that the deployment names, and is
    neither kept nor shown.
    """

    def __init__(
        self,
        settings: AirflowSettings,
        environ: Mapping[str, str] = os.environ,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self._url = settings.url.rstrip("/")
        self._timeout_seconds = timeout_seconds
        self._session = requests.Session()
        body = {"username": settings.username, "password": _password(settings, environ)}
        answer = self._request("POST", "/auth/token", body)
        self._session.headers["Authorization"] = f"Bearer {answer['access_token']}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._session.close()

    def is_known(self, dag_id: str) -> bool:
        """Whether Airflow has parsed `dag_id`: shortly after its start it has not."""
        path = f"/api/v2/dags?dag_id_pattern={quote(dag_id, safe='')}&limit=100"
        return any(dag["dag_id"] == dag_id for dag in self._request("GET", path)["dags"])

    def trigger(self, dag_id: str, conf: Mapping[str, Any]) -> str:
        """Start a run of `dag_id` and return its run id; a paused DAG is refused."""
        self.require_unpaused(dag_id)
        body = {"logical_date": None, "conf": dict(conf)}
        run = self._request("POST", f"/api/v2/dags/{quote(dag_id, safe='')}/dagRuns", body)
        return str(run["dag_run_id"])

    def require_unpaused(self, dag_id: str) -> None:
        """Raise Refused where nothing of `dag_id` would run."""
        dag = self._request("GET", f"/api/v2/dags/{quote(dag_id, safe='')}")
        if dag.get("is_paused"):
            raise Refused(f"{dag_id} is paused in Airflow", "unpause it in the UI, then repeat")

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return `queued`, `running`, `success` or `failed`."""
        dag, run = quote(dag_id, safe=""), quote(run_id, safe="")
        return str(self._request("GET", f"/api/v2/dags/{dag}/dagRuns/{run}")["state"])

    def living_runs(self, dag_id: str) -> list[tuple[str, str]]:
        """Return (run id, state) of the runs of `dag_id` that are queued or running."""
        alive = "state=queued&state=running&limit=10"
        path = f"/api/v2/dags/{quote(dag_id, safe='')}/dagRuns?{alive}"
        runs = self._request("GET", path).get("dag_runs", [])
        return [(str(run["dag_run_id"]), str(run["state"])) for run in runs]

    def clear(self, dag_id: str, run_id: str, task_id: str, note: str) -> tuple[str, ...]:
        """Clear a task and all that comes after it, as a person does; return the tasks cleared."""
        path = f"/api/v2/dags/{quote(dag_id, safe='')}/clearTaskInstances"
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": [task_id],
            "include_downstream": True,
            "only_failed": False,
            "note": note[:MAX_NOTE] or None,
        }
        cleared = self._request("POST", path, body).get("task_instances", [])
        return tuple(dict.fromkeys(str(task["task_id"]) for task in cleared))

    def questions(self) -> list[dict[str, Any]]:
        """Return the task instances of our DAGs that wait for a person.

        `subject` is the question, `options` what may be said to it, `may_answer` the names of those
        who may; empty is everybody. `asks` are the fields that an answer may fill in, `created_at`
        is when it was asked.
        """
        # a question that ran out, or whose run was ended, is kept without an answer for good
        waiting = "response_received=false&state=awaiting_input&state=deferred"
        path = f"/api/v2/dags/~/dagRuns/~/hitlDetails?{waiting}&limit=100"
        details = self._request("GET", path).get("hitl_details", [])
        tasks = [
            {
                **detail["task_instance"],
                "subject": detail["subject"],
                "options": list(detail["options"]),
                "created_at": detail["created_at"],
                "asks": list(detail.get("params") or ()),
                "may_answer": [str(user["name"]) for user in detail.get("assigned_users") or ()],
            }
            for detail in details
        ]
        return [task for task in tasks if str(task["dag_id"]).startswith("backpack_")]

    def answer(self, task: Mapping[str, Any], option: str, reason: str = "") -> None:
        """Answer one of `questions` with `Approve` or `Reject`, and why if it asks that."""
        parts = (quote(str(task[key]), safe="") for key in ("dag_id", "dag_run_id", "task_id"))
        dag, run, name = parts
        index = task.get("map_index", -1)
        path = f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances/{name}/{index}/hitlDetails"
        said = {"reason": reason} if reason and list(task.get("asks", ())) == ["reason"] else {}
        self._request("PATCH", path, {"chosen_options": [option], "params_input": said})

    def _request(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        try:
            response = self._session.request(
                method,
                f"{self._url}{path}",
                json=body,
                timeout=self._timeout_seconds,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise AirflowUnavailable(
                f"Airflow at {self._url} does not answer ({type(error).__name__})",
                "start it, or set AIRFLOW_URL; backpack-migrate status, report, hold and rollback "
                "need none",
            ) from error
        return self._accepted(response, path)

    def _accepted(self, response: requests.Response, path: str) -> dict[str, Any]:
        if path.startswith("/api/") and (refusal := _refusal(response, path)) is not None:
            raise refusal
        if response.status_code not in {200, _CREATED}:
            raise AirflowUnavailable(
                f"Airflow answered {response.status_code} to {path.partition('?')[0]}: "
                f"{_detail(response)}",
                "check AIRFLOW_URL, AIRFLOW_USERNAME and AIRFLOW_PASSWORD_FILE",
            )
        try:
            answer: dict[str, Any] = response.json()
        except ValueError as error:
            raise AirflowUnavailable(
                f"what listens at {self._url} is not Airflow", "set AIRFLOW_URL"
            ) from error
        return answer


def _refusal(response: requests.Response, path: str) -> MigrationError | None:
    """Return the clear No of an Airflow that is there, None where it gave none."""
    place, detail = path.partition("?")[0], _detail(response)
    match response.status_code:
        case 403:
            return Refused(
                f"Airflow does not let this user do it: {detail}",
                "ask one who may, or set AIRFLOW_USERNAME and AIRFLOW_PASSWORD to theirs",
            )
        case 404:
            return Refused(
                f"Airflow has nothing at {place}: {detail}",
                "look in its UI for what was deleted or is not parsed yet",
            )
        case 409:
            is_answer = place.endswith("/hitlDetails")
            return Refused(
                f"Airflow refused {place}: {detail}",
                "it was answered already" if is_answer else "look at the DAG run in its UI",
            )
        case 400 | 422:
            return UsageError(
                f"Airflow cannot take what was said to {place}: {detail}",
                "correct what it names, then repeat",
            )
    return None


def _detail(response: requests.Response) -> str:
    try:
        detail = response.json().get("detail", "")
    except (ValueError, AttributeError):
        return response.reason
    said = str(detail.get("message", detail) if isinstance(detail, dict) else detail)
    # behind its first paragraph a validator shows its schema
    text = " ".join(said.strip().partition("\n\n")[0].split()).rstrip(".")
    if len(text) <= _HEAD_CHARACTERS + _TAIL_CHARACTERS:
        return text
    return f"{text[:_HEAD_CHARACTERS]} … {text[-_TAIL_CHARACTERS:]}"


def _password(settings: AirflowSettings, environ: Mapping[str, str]) -> str:
    """Return the password: the variable, a JSON file {user: password}, or a file's only line."""
    if given := environ.get("AIRFLOW_PASSWORD"):
        return given
    text = _read(settings.password_file)
    try:
        known = json.loads(text)
    except ValueError:
        return text.strip()
    if isinstance(known, dict) and settings.username in known:
        return str(known[settings.username])
    raise AirflowUnavailable(
        f"{settings.password_file} has no password of {settings.username!r}",
        "set AIRFLOW_USERNAME and AIRFLOW_PASSWORD",
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise AirflowUnavailable(
            f"no password for Airflow: {path} cannot be read ({error.strerror})",
            "set AIRFLOW_PASSWORD or AIRFLOW_PASSWORD_FILE",
        ) from error
