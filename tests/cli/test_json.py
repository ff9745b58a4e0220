"""`--json`: one document on stdout with the documented keys, and errors as JSON on stderr."""

import json
import re
from pathlib import Path

import pytest
import yaml

from feed_migration.cli.app import run
from feed_migration.journal.store import Journal
from tests.cli.test_page import sections
from tests.support.memory_fleet import MemoryFleet
from tests.support.migration_plans import begin, gate, pass_steps

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A deployment of which only the journal is there, with a migration that is held."""
    for name in ("AIRFLOW_URL", "AIRFLOW_USERNAME", "AIRFLOW_PASSWORD", "AIRFLOW_PASSWORD_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BACKPACK_HOME", str(tmp_path))
    document = {
        "prometheus_url": "http://127.0.0.1:9",
        "instances": [{"id": "feed-00", "url": "http://127.0.0.1:9", "config": "f.yaml"}],
        "airflow": {"url": "http://127.0.0.1:9"},
    }
    (tmp_path / "deployment.yaml").write_text(yaml.safe_dump(document))
    journal = Journal(tmp_path / "journal.db")
    migration_id = begin(journal)
    pass_steps(journal, MemoryFleet(), migration_id, until="cutover-50")
    gate(journal, migration_id, "cutover-50", "Hold")
    return tmp_path


@pytest.fixture
def plan(home):
    path = home / "plan.yaml"
    path.write_text((REPOSITORY / "plans" / "demo.yaml").read_text())
    return path


def invoke(capsys, *arguments):
    code = run(arguments)
    out, err = capsys.readouterr()
    return code, out, err


def documented(command: str) -> set[str]:
    return set(re.findall(r'"([a-z0-9_]+)"', sections()[command]))


@pytest.mark.parametrize(
    "command",
    ["status", "audit verify", "audit export", "audit key", "journal init", "plan check"],
)
def test_a_document_has_the_documented_keys(capsys, home, plan, command):
    """Parsed whole from stdout, and nothing on stderr."""
    more = [str(plan)] if command == "plan check" else []
    code, out, err = invoke(capsys, *command.split(), *more, "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert set(document) <= documented(command)
    assert ("next" in document) == (command != "audit export")


def test_status_names_the_gate_and_what_is_waited_for(capsys, home):
    """The keys of the parts are documented, too."""
    status = json.loads(invoke(capsys, "status", "--json")[1])
    assert set(status["waits_for"]) <= documented("status")
    assert status["waits_for"]["kind"] == "task"


def test_a_log_that_was_tampered_with_is_a_document_with_exit_1(capsys, home):
    """`ok` is false; the answer is on stdout, since it is one."""
    code, out, err = invoke(capsys, "audit", "verify", "--expect-head", f"1:{'0' * 64}", "--json")
    assert (code, err) == (1, "")
    assert json.loads(out)["ok"] is False


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ("nonsense", (2, "No such command 'nonsense'.", "see backpack-migrate --help")),
        ("status --no", (2, "No such option: --no", "see backpack-migrate --help")),
        ("status --until-done", (2, "--until-done means nothing", "give both")),
        ("status --migration m9", (1, "the journal has no migration m9", "leave")),
        ("start", (3, "no password for Airflow", "set AIRFLOW_PASSWORD")),
        ("rollback", (3, "supervisord at", "")),
        ("audit verify --expect-head 12", (2, "--expect-head '12': not a head", "give")),
    ],
)
def test_an_error_is_one_json_object_on_stderr(capsys, home, arguments, error):
    """With what is wrong, what to do and the exit code; also where the arguments mean nothing."""
    code, out, err = invoke(capsys, *arguments.split(), "--json")
    said = json.loads(err.splitlines()[-1])
    assert (code, out, said["exit_code"]) == (error[0], "", error[0])
    assert said["error"].startswith(error[1])
    assert said["remedy"].startswith(error[2])


def test_the_mistakes_of_a_plan_have_their_lines(capsys, home, plan):
    """For an editor or a pipeline that shows them where they are."""
    text = plan.read_text().replace(" interval: ", " interval: x", 1)
    plan.write_text(text)
    code, out, err = invoke(capsys, "plan", "check", str(plan), "--json")
    assert (code, out) == (2, "")
    [mistake] = json.loads(err)["mistakes"]
    assert mistake["line"] == text[: text.index(" interval: x")].count("\n") + 1
    assert "interval" in mistake["key"]


def test_a_file_that_is_written_is_named(capsys, home):
    """Of a report and an export, in JSON as without."""
    for command in (["report"], ["audit", "export"]):
        path = home / "out.json"
        code, out, _ = invoke(capsys, *command, "--output", str(path), "--json")
        assert (code, json.loads(out)) == (0, {"output": str(path)})
        assert json.loads(path.read_text())
    code, _, err = invoke(capsys, "audit", "export", "--format", "markdown", "--json")
    assert code == 2
    assert "choose one" in json.loads(err)["remedy"]
