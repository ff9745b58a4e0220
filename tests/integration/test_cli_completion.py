"""Completion in a real bash: commands, options, and values of this deployment."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from feed_migration.journal.store import Journal
from tests.support.migration_plans import begin
from tests.support.small_airflow import small_airflow

BIN = Path(sys.executable).parent


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A deployment with a migration; bash reads its own files from here, too."""
    monkeypatch.setenv("BACKPACK_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{BIN}:/usr/bin:/bin")
    with small_airflow() as airflow:
        airflow.wait_for("cutover_50.approval")
        # what no approval is: a question that ran out, and one to consumers
        airflow.wait_for("cutover_10.approval")
        airflow.approvals[-1]["task_instance"]["state"] = "failed"
        airflow.wait_for("post_migration.feedback_risk", options=("OK",))
        document = {
            "prometheus_url": "http://127.0.0.1:9",
            "instances": [{"id": "feed-00", "url": "http://127.0.0.1:9", "config": "f.yaml"}],
            "airflow": {"url": airflow.url, "password_file": "passwords.json"},
        }
        (tmp_path / "deployment.yaml").write_text(yaml.safe_dump(document))
        (tmp_path / "passwords.json").write_text(json.dumps({"admin": airflow.password}))
        yield tmp_path


def bash(script: str, cwd: Path) -> str:
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def completed(typed: str, cwd: Path) -> list[str]:
    """What bash offers for the last word of `typed`, as readline would ask."""
    words = shlex.split(typed) + ([""] if typed.endswith(" ") else [])
    script = (
        "source <(backpack-migrate --show-completion bash); spec=$(complete -p backpack-migrate); "
        "function=${spec##*-F }; function=${function%% *}; "
        f"COMP_WORDS=({' '.join(map(shlex.quote, words))}); COMP_CWORD={len(words) - 1}; "
        f"COMP_LINE={shlex.quote(typed)}; COMP_POINT={len(typed)}; "
        '$function backpack-migrate; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    return bash(script, cwd).split()


def test_bash_completes_commands_options_and_values(home):
    """Of the deployment that BACKPACK_HOME names."""
    migration_id = begin(Journal(home / "journal.db"))
    assert completed("backpack-migrate res", home) == ["resume"]
    assert "--until-done" in completed("backpack-migrate status --", home)
    assert completed("backpack-migrate hold --migration mig", home) == [migration_id]
    assert completed("backpack-migrate approve --task ", home) == ["cutover_50.approval"]


def test_bash_completes_only_what_a_rollback_takes_back(home):
    """The active migration, or the latest: of an older one nothing is left to take back."""
    journal = Journal(home / "journal.db")
    earlier = begin(journal)
    back = {"migration_id": earlier, "actor": "ana"}
    journal.append("rollback_started", body={"reason": "odd", "epoch": 2}, **back)
    journal.append("rollback_verified", body={"instances": {"feed-00": "ccxt"}}, **back)
    assert completed("backpack-migrate rollback --migration ", home) == [earlier]
    active = begin(journal)
    assert completed("backpack-migrate rollback --migration ", home) == [active]
    assert completed("backpack-migrate status --migration ", home) == [active, earlier]


def test_bash_completes_plan_files(home):
    """Those of the folder that is typed, and of plans/ where none is."""
    (home / "plans").mkdir()
    for name in ("plans/demo.yaml", "plans/notes.md", "mine.yaml"):
        (home / name).touch()
    offered = completed("backpack-migrate plan check ", home)
    assert {"plans/demo.yaml", "mine.yaml"} <= set(offered)
    assert completed("backpack-migrate plan check plans/", home) == ["plans/demo.yaml"]


def test_what_does_not_answer_completes_nothing_and_says_nothing(home):
    """No error in the middle of a line that somebody types."""
    (home / "deployment.yaml").unlink()
    assert completed("backpack-migrate hold --migration ", home) == []


def test_it_installs_itself(home):
    """Into the files that an interactive bash reads."""
    bash("backpack-migrate --install-completion bash", home)
    [script] = (home / ".bash_completions").iterdir()
    assert "_BACKPACK_MIGRATE_COMPLETE" in script.read_text()
    assert str(script) in (home / ".bashrc").read_text()
