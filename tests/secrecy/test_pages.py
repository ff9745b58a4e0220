"""The search reads every page that a running deployment shows."""

import base64
from urllib.parse import unquote, urlsplit

import pytest

from tests.secrecy.encodings import Secret
from tests.secrecy.pages import LISTS, OF_PROMETHEUS, SINGLES, AirflowPages, pages
from tests.secrecy.search import Search
from tests.support.http_server import http_server, send
from tests.support.small_airflow import small_airflow

SECRET = Secret("decoy", "correct horse battery staple")
SEARCH = Search([SECRET])
TASK = {"dag_id": "migration", "task_id": "shadow.gate", "try_number": 2}
RUN = {"dag_run_id": "manual 1", "state": "success"}
INSTANCE = "/api/v2/dags/migration/dagRuns/manual 1/taskInstances/shadow.gate"
OF_AIRFLOW = {
    **{f"/api/v2/{name}": "Airflow's API" for name in LISTS},
    **dict.fromkeys([*SINGLES, "/api/v2/config"], "Airflow's API"),
    f"{INSTANCE}/xcomEntries/return_value": "XCom",
    f"{INSTANCE}/logs/1": "log of a task",
    f"{INSTANCE}/logs/2": "log of a task",
}


def airflow_that_leaks(path_of_decoy: str):
    """An Airflow of one task, which shows the decoy at one path, as the 150th row of a list."""

    def answer(method, path, body, token):
        path = unquote(urlsplit(path).path)
        decoy = {"said": base64.b64encode(SECRET.text.encode()).decode()}
        leak = decoy if path == path_of_decoy else {}
        if path == "/auth/token":
            return 201, {"access_token": "t0ken"}
        if path == "/api/v2/config":
            return 403, leak
        if path.removeprefix("/api/v2/") not in LISTS:
            return 200, leak
        rows = {
            "/api/v2/dags/~/dagRuns": [RUN],
            "/api/v2/dags/~/dagRuns/~/taskInstances": [{**TASK, **RUN}],
            "/api/v2/dags/~/dagRuns/~/taskInstances/~/xcomEntries": [
                {**TASK, "run_id": RUN["dag_run_id"], "key": "return_value"}
            ],
        }.get(path, [])
        return 200, {"rows": [{**row, **leak} for row in rows] or [leak], "total_entries": 1}

    return answer


@pytest.mark.parametrize("path", OF_AIRFLOW)
def test_a_secret_on_any_page_of_airflow_is_found(path):
    """Lists, the configuration, each XCom value, each log, the console."""
    with small_airflow() as airflow:
        airflow.answer = airflow_that_leaks(path)
        seen = AirflowPages(airflow.url, "admin", "password")
        findings = SEARCH.findings(seen.places())
        assert seen.run_states() == {"success"}
    assert {finding.kind for finding in findings} == {OF_AIRFLOW[path]}


def test_a_secret_behind_the_first_page_of_a_list_is_found():
    """Airflow gives a hundred rows at a time."""
    rows = [{"n": number} for number in range(250)] + [{"extra": SECRET.text}]

    def answer(method, path, body, token):
        if path == "/auth/token":
            return 201, {"access_token": "t0ken"}
        if "eventLogs" not in path:
            status = 403 if path == "/api/v2/config" else 200
            return status, {"rows": [], "total_entries": 0}
        offset = int(path.partition("offset=")[2])
        return 200, {"rows": rows[offset : offset + 100], "total_entries": len(rows)}

    with small_airflow() as airflow:
        airflow.answer = answer
        findings = SEARCH.findings(AirflowPages(airflow.url, "admin", "password").places())
    assert [finding.place for finding in findings] == ["eventLogs"]


@pytest.mark.parametrize("where", ["body", "header"])
@pytest.mark.parametrize("path", ["/metrics", "/healthz", *OF_PROMETHEUS])
def test_a_secret_on_an_open_page_is_found(path, where):
    """Metrics, labels, configuration; in headers, too."""
    leaks = path.partition("?")[0]

    def answer(request):
        text = SECRET.text if urlsplit(request.path).path == leaks else "nothing"
        headers = {"X-Note": text} if where == "header" else {}
        send(request, (200, headers, text.encode() if where == "body" else b""))

    with http_server(answer) as url:
        findings = SEARCH.findings(pages(url, ("/metrics", "/healthz", *OF_PROMETHEUS)))
    assert {urlsplit(finding.place).path for finding in findings} == {leaks}


def test_a_page_that_does_not_come_is_no_proof():
    """What could not be read was not searched."""
    with (
        http_server(lambda request: send(request, (503, {}, b""))) as url,
        pytest.raises(AssertionError, match="/metrics: 503"),
    ):
        list(pages(url, ("/metrics",)))
