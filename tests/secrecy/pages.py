"""What the parts of a running deployment answer over HTTP: Airflow, console, fleet, Prometheus."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import requests

from tests.secrecy.search import Place

OK, FORBIDDEN = 200, 403
TIMEOUT_SECONDS = 30
PAGE = 100
LISTS = (
    "assets",
    "assets/events",
    "connections",
    "dagWarnings",
    "dags",
    "dags/~/dagRuns",
    "dags/~/dagRuns/~/hitlDetails",
    "dags/~/dagRuns/~/taskInstances",  # with the rendered fields of each
    "dags/~/dagRuns/~/taskInstances/~/xcomEntries",
    "eventLogs",
    "importErrors",
    "jobs",
    "plugins",
    "pools",
    "providers",
    "variables",
)
SINGLES = ("/ui/config", "/backpack/api/me", "/backpack/api/view", "/backpack/api/audit")
OF_PROMETHEUS = (
    "/metrics",
    "/api/v1/alerts",
    "/api/v1/labels",
    "/api/v1/metadata",
    "/api/v1/rules",
    "/api/v1/series?match[]={__name__!=''}",  # every label of every series since its start
    "/api/v1/status/config",
    "/api/v1/status/flags",
    "/api/v1/targets",
)


def pages(base_url: str, paths: tuple[str, ...]) -> Iterator[Place]:
    """Yield the pages of a server that asks for no login."""
    with requests.Session() as session:
        for path in paths:
            yield _page(session, "page", base_url, path)


class AirflowPages:
    """Airflow's API and the console, as its administrator sees them."""

    def __init__(self, url: str, username: str, password: str) -> None:
        self._url = url
        self._session = requests.Session()
        login = {"username": username, "password": password}
        answer = self._session.post(f"{url}/auth/token", json=login, timeout=TIMEOUT_SECONDS)
        answer.raise_for_status()
        self._session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    @classmethod
    def of(cls, url: str, home: Path) -> Self:
        """Log in as the user in the password file of Airflow's `home`."""
        ((user, password),) = json.loads((home / "passwords.json").read_text()).items()
        return cls(url, user, password)

    def add_connection(self, name: str, password: str) -> None:
        """Store a connection with `password`, and a header that has it too."""
        extra = json.dumps({"Authorization": f"Bearer {password}"})
        body = {
            "connection_id": name,
            "conn_type": "http",
            "host": "pager.example.com",
            "password": password,
            "extra": extra,
        }
        url = f"{self._url}/api/v2/connections"
        self._session.post(url, json=body, timeout=TIMEOUT_SECONDS).raise_for_status()

    def run_states(self) -> set[str]:
        """The states of all DAG runs."""
        return {run["state"] for run in self._listed("dags/~/dagRuns")}

    def places(self) -> Iterator[Place]:
        """Yield what the API and the console tell, each XCom value and each log of a task."""
        for name in LISTS:
            rows = json.dumps(list(self._listed(name)), ensure_ascii=False)
            yield Place("Airflow's API", name, rows.encode())
        for path in SINGLES:
            yield _page(self._session, "Airflow's API", self._url, path)
        # an administrator has to allow it before anybody sees the configuration
        yield _page(self._session, "Airflow's API", self._url, "/api/v2/config", FORBIDDEN)
        for entry in self._listed("dags/~/dagRuns/~/taskInstances/~/xcomEntries"):
            path = f"{_instance(entry, 'run_id')}/xcomEntries/{_quoted(entry['key'])}"
            yield _page(self._session, "XCom", self._url, f"{path}?stringify=true")
        for task in self._listed("dags/~/dagRuns/~/taskInstances"):
            for attempt in range(1, task["try_number"] + 1):
                path = f"{_instance(task, 'dag_run_id')}/logs/{attempt}"
                yield _page(self._session, "log of a task", self._url, path)

    def _listed(self, name: str) -> Iterator[dict[str, Any]]:
        offset, total = 0, 1
        while offset < total:
            url = f"{self._url}/api/v2/{name}?limit={PAGE}&offset={offset}"
            body = _get(self._session, url).json()
            total = body["total_entries"]
            yield from next(value for value in body.values() if isinstance(value, list))
            offset += PAGE


def _instance(row: Mapping[str, Any], run_key: str) -> str:
    dag, run, task = (_quoted(row[name]) for name in ("dag_id", run_key, "task_id"))
    return f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances/{task}"


def _quoted(text: str) -> str:
    return quote(text, safe="")


def _page(
    session: requests.Session, kind: str, base_url: str, path: str, expected: int = OK
) -> Place:
    answer = _get(session, f"{base_url}{path}", expected)
    headers = "".join(f"{name}: {value}\n" for name, value in answer.headers.items())
    return Place(kind, f"{base_url}{path}", headers.encode() + answer.content)


def _get(session: requests.Session, url: str, expected: int = OK) -> requests.Response:
    answer = session.get(url, timeout=TIMEOUT_SECONDS)
    assert answer.status_code == expected, f"{url}: {answer.status_code}"
    return answer
