"""The console's routes in Airflow's own web server: who may look, who may act, and what it does."""

import json

import pytest
import requests

from feed_migration.phases import Status
from tests.console.scene import (
    RUN_ID,
    WRITE_HEADERS,
)
from tests.support.conditions import eventually_sync

PATHS = {
    "name": "console.js",
    "dag_id": "backpack_rollback",
}
BODIES = {
    "answer": {"run_id": RUN_ID, "task_id": "cutover_50.approval", "option": "Approve"},
    "hold": {"reason": "the venue is odd"},
    "resume": {"run_id": RUN_ID, "dry_run": False},
    "rollback": {"reason": "the venue is odd"},
}


def routes() -> list[tuple[str, str]]:
    """Every route of the console, as (method, path): a new one cannot be forgotten."""
    from feed_migration.console.app import app

    return [
        (method, route.path.format_map(PATHS))
        for route in app.routes
        for method in sorted(route.methods)
    ]


def ask(session: requests.Session, scene, method: str, path: str, **more) -> requests.Response:
    body = BODIES.get(path.rpartition("/")[2], {}) if method == "POST" else None
    with session.request(
        method,
        f"{scene.url}{path}",
        json=body,
        timeout=15,
        allow_redirects=False,
        stream=True,
        **more,
    ) as answer:
        if "event-stream" not in answer.headers.get("content-type", ""):
            assert answer.content is not None
        return answer


def test_the_walk_finds_the_routes(scene):
    """The tests below walk the application; here is what they must meet at least."""
    found = routes()
    assert {path.rpartition("/")[2] for method, path in found if method == "POST"} == set(BODIES)
    assert ("GET", "/api/live") in found
    assert ("GET", "/") in found


def test_anonymous_requests_get_401_on_every_route(scene):
    """Airflow leaves plugin applications open: the console closes each of its routes."""
    session = scene.anonymous()
    session.headers.update(WRITE_HEADERS)
    answers = {f"{m} {p}": ask(session, scene, m, p).status_code for m, p in routes()}
    assert set(answers.values()) == {401}, answers


def test_a_forged_token_opens_no_route(scene):
    """Neither as a cookie nor as a header."""
    session = scene.anonymous()
    session.cookies.set("_token", scene.token()[:-4] + "AAAA")
    answers = {f"{m} {p}": ask(session, scene, m, p).status_code for m, p in routes()}
    assert set(answers.values()) <= {401, 403}, answers


def test_a_viewer_may_look_everywhere_and_act_nowhere(scene):
    """Reading is what viewers are for; every write is refused, and nothing has happened."""
    migration_id = scene.begin()
    before = len(scene.journal.events())
    session = scene.browser("vic", "viewer")
    answers = {f"{m} {p}": ask(session, scene, m, p).status_code for m, p in routes()}
    assert {code for route, code in answers.items() if route.startswith("POST")} == {403}
    reads = {route: code for route, code in answers.items() if route.startswith("GET")}
    # "console.js" is no instance
    assert {route for route, code in reads.items() if code != 200} == {
        "GET /api/instances/console.js"
    }
    assert session.get(f"{scene.url}/api/me", timeout=15).json()["may"] == dict.fromkeys(
        ("answer", "hold", "resume", "rollback"), False
    )
    assert len(scene.journal.events()) == before
    assert scene.journal.state(migration_id).status is Status.RUNNING


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"X-Backpack-Console": None},
    ],
)
def test_a_cross_site_write_is_refused_on_every_route(scene, headers):
    """The cookie goes along with what other sites make a browser send; it proves no intent."""
    session = scene.browser()
    answers = {
        path: ask(session, scene, method, path, headers=headers)
        for method, path in routes()
        if method == "POST"
    }
    assert {answer.status_code for answer in answers.values()} == {403}
    assert all("cross-site" in answer.text for answer in answers.values())


def test_every_answer_carries_the_policy(scene):
    """No inline script, no foreign frame, no markup out of strings; errors too."""
    session = scene.browser()
    for path in ("/", "/static/console.js", "/api/me", "/api/instances/none", "/nowhere"):
        headers = session.get(f"{scene.url}{path}", timeout=15).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'self'" in policy
        assert headers["x-content-type-options"] == "nosniff"


def test_a_file_is_only_served_by_its_name(scene):
    """Nothing outside of the page's own files can be asked for."""
    session = scene.browser()
    for name in ("..%2Fapp.py", "%2Fetc%2Fpasswd", "app.py", "index.html%00", "nothing.js"):
        assert session.get(f"{scene.url}/static/{name}", timeout=15).status_code == 404


def test_an_unchanged_file_is_not_sent_again(scene):
    """The browser asks, and is told that it has it."""
    session, url = scene.browser(), f"{scene.url}/static/console.css"
    etag = session.get(url, timeout=15).headers["etag"]
    assert session.get(url, headers={"If-None-Match": etag}, timeout=15).status_code == 304


def test_the_view_tells_migration_gate_fleet_and_chain(scene):
    """One look: where it is, what is measured, which instances are where."""
    migration_id = scene.begin()
    scene.start_gate(migration_id, "cutover-50")
    scene.measure(migration_id, "cutover-50", [1.0, 12.0])
    session = scene.browser()
    eventually_sync(lambda: {"fleet", "chain", "gate"} <= set(scene.view(session)))
    view = scene.view(session)
    assert view["migration"]["id"] == migration_id
    assert view["fleet"]["counts"]["native"] == 5
    assert view["chain"]["ok"] is True
    slow = next(c for c in view["gate"]["criteria"] if c["name"] == "slow_checks")
    assert (slow["outcome"], slow["budget"]["text"]) == ("Failure", "1 of 4 failures")


def test_the_stream_sends_what_changes(scene):
    """All sections at first, then the one that changed; nobody has to ask again."""
    migration_id = scene.begin()
    url = f"{scene.url}/api/live"
    with scene.browser().get(url, stream=True, timeout=(5, 15)) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = sse(answer)
        eventually_sync(lambda: next(events)[0] == "migration")
        scene.append(migration_id, "held", step="cutover-10", reason="held for a look")
        eventually_sync(lambda: "held for a look" in next(events)[1])


def sse(answer: requests.Response):
    """Yield (event, data) of a stream."""
    event = ""
    for line in answer.iter_lines(decode_unicode=True):
        if line.startswith("event:"):
            event = line.partition(":")[2].strip()
        if line.startswith("data:"):
            yield event, line.partition(":")[2].strip()


def test_a_broken_part_is_told_and_the_rest_stays(scene):
    """A journal that cannot be read leaves the page with what it had, and says since when."""
    scene.begin()
    session = scene.browser()
    scene.view(session)
    scene.fleet.instances = lambda: (_ for _ in ()).throw(RuntimeError("password=hunter2"))
    trouble = eventually_sync(lambda: scene.view(session)["sources"].get("fleet"))
    assert trouble["error"] == "RuntimeError"
    assert "migration" in scene.view(session)


def test_the_audit_log_is_filtered_and_paged_by_the_server(scene):
    """By kind, by who, by any text of an event, page by page from the newest on."""
    migration_id = scene.begin()
    for number in range(7):
        scene.append(migration_id, "audit_note", actor="bob", note=f"mark-{number} ü 100%")
    session = scene.browser()

    def page(**query):
        answer = session.get(f"{scene.url}/api/audit", params=query, timeout=15)
        assert answer.status_code == 200
        return answer.json()

    first = page(kind="audit_note", limit=4)
    assert [event["body"]["note"][:6] for event in first["events"]] == [
        "mark-6",
        "mark-5",
        "mark-4",
        "mark-3",
    ]
    rest = page(kind="audit_note", limit=4, before_seq=first["next"])
    assert (len(rest["events"]), rest["next"]) == (3, None)
    assert len(page(actor="BO")["events"]) == 7
    assert len(page(text="mark-3 ü")["events"]) == 1
    assert page(text="mark_3")["events"] == []
    assert page(text="100%' OR 1=1 --")["events"] == []
    assert (
        session.get(f"{scene.url}/api/audit", params={"limit": 1000}, timeout=15).status_code == 422
    )


HOSTILE = '<img src=x onerror="alert(1)"></script><script>alert(2)</script>\u202e\x07'


def test_hostile_text_is_sent_as_json_and_never_as_a_page(scene):
    """Whatever a venue, an instance or a person wrote: data, with a type that no browser runs."""
    migration_id = scene.begin()
    scene.append(migration_id, "held", step="cutover-10", reason=HOSTILE)
    session = scene.browser()
    for path in ("/api/view", "/api/audit"):
        answer = session.get(f"{scene.url}{path}", timeout=15)
        assert answer.headers["content-type"] == "application/json"
        assert "alert(2)" in json.dumps(answer.json())


def test_the_view_is_a_page_of_airflows_menu(scene):
    """Airflow's frame opens the very page, below the path that the server is served at."""
    plugins = requests.get(
        f"{scene.airflow_url}/api/v2/plugins",
        headers={"Authorization": f"Bearer {scene.token()}"},
        timeout=15,
    ).json()["plugins"]
    views = [view for plugin in plugins for view in plugin["external_views"]]
    (console,) = [view for view in views if view["url_route"] == "backpack-migration"]
    assert console["href"] == "/backpack/"


def test_a_path_prefix_of_the_server_is_kept(monkeypatch):
    """Behind a proxy at /team/airflow the frame would otherwise open another application."""
    from feed_migration.console.page_link import console_view

    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://host.example/team/airflow/")
    assert console_view()["href"] == "/team/airflow/backpack/"
