"""`backpack-migrate audit` and `journal init`: what they print, make and refuse."""

import json

import pytest
import yaml

from feed_migration.cli.app import run
from feed_migration.journal.store import Journal


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A deployment of which only the journal is used."""
    monkeypatch.setenv("BACKPACK_HOME", str(tmp_path))
    document = {
        "prometheus_url": "http://127.0.0.1:9",
        "instances": [{"id": "feed-00", "url": "http://127.0.0.1:9", "config": "feed-00.yaml"}],
    }
    (tmp_path / "deployment.yaml").write_text(yaml.safe_dump(document))
    return tmp_path


def invoke(capsys, *arguments):
    code = run(arguments)
    out, err = capsys.readouterr()
    return code, out, err


def test_a_key_is_made_once_and_signs_from_then_on(capsys, home):
    """The public key is printed, the signing key is not; a second call is refused."""
    code, out, _ = invoke(capsys, "audit", "key")
    assert code == 0
    public = out.split()[2]
    secret = (home / "audit" / "signing.key").read_text().strip()
    assert secret not in out
    code, out, _ = invoke(capsys, "audit", "verify")
    assert (code, out.splitlines()[1].split(";")[0]) == (0, "signed up to event 1")
    code, out, err = invoke(capsys, "audit", "key")
    assert (code, out) == (1, "")
    assert "there is a signing key already" in err
    document = json.loads(invoke(capsys, "audit", "export")[1])
    assert [head["key"] for head in document["heads"]] == [public]
    assert secret not in json.dumps(document)
    page = invoke(capsys, "audit", "export", "--format", "markdown")[1]
    assert f"| {public[:12]} |" in page


def test_a_head_that_is_none_is_a_usage_error(capsys, home):
    """Exit 2 and one line, not exit 1 and an alarm."""
    code, out, err = invoke(capsys, "audit", "verify", "--expect-head", "12")
    assert (code, out) == (2, "")
    assert err == (
        "backpack-migrate: --expect-head '12': not a head: "
        "give the `seq:hash` that audit verify printed\n"
    )


def test_copies_kept_elsewhere_are_asked(capsys, home, tmp_path):
    """A good copy is found again; one of another log is tampering; none is a mistake."""
    journal = Journal(home / "journal.db")
    journal.append("held", migration_id="m", actor="ana", body={"step": "shadow"})
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes((home / "audit" / "anchors.jsonl").read_bytes())
    assert invoke(capsys, "audit", "verify", "--anchors", str(copy))[0] == 0
    copy.write_bytes(copy.read_bytes().replace(b'"hash":"', b'"hash":"0'))
    code, out, _ = invoke(capsys, "audit", "verify", "--anchors", str(copy))
    assert (code, out.startswith("audit BROKEN at event 1: ")) == (1, True)
    assert invoke(capsys, "audit", "verify", "--anchors", str(tmp_path / "none"))[0] == 2
    assert invoke(capsys, "audit", "verify", "--trusted", str(tmp_path / "none"))[0] == 2


def test_init_makes_the_tables_and_knows_no_roles_of_sqlite(capsys, home):
    """Told twice, it does nothing; a role needs Postgres."""
    for _ in range(2):
        assert invoke(capsys, "journal", "init") == (0, "journal ready\n", "")
    assert Journal(home / "journal.db").events() == []
    code, _, err = invoke(capsys, "journal", "init", "--writer", "airflow")
    assert (code, "only Postgres has roles" in err) == (2, True)
    code, _, err = invoke(capsys, "journal", "init", "--url-file", str(home / "none"))
    assert (code, "none: cannot be read" in err) == (2, True)
