"""`backpack-migrate audit` and `journal init`: what they print, make and refuse."""

import json

import pytest
import yaml

from feed_migration.cli.app import run
from feed_migration.journal.keys import make_key
from feed_migration.journal.store import Journal
from tests.cli.test_json import documented


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
    assert (home / "audit" / "trusted.keys").read_text() == f"{public} from 1\n"
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


def noted(home, number=0):
    journal = Journal(home / "journal.db")
    journal.append("audit_note", migration_id="m", actor="ana", body={"number": number})


def test_the_key_says_since_when_everything_is_signed(capsys, home, monkeypatch):
    """From its own note on, whatever was written until then; a second one leaves that as it is."""

    def late(place, since):
        noted(home)
        return make_key(place, since)

    noted(home)
    trusted = home / "audit" / "trusted.keys"
    with monkeypatch.context() as patch:
        patch.setattr("feed_migration.cli.audit.make_key", late)
        public = invoke(capsys, "audit", "key")[1].split()[2]
    assert trusted.read_text() == f"{public} from 3\n"
    code, out, _ = invoke(capsys, "audit", "verify")
    lines = out.splitlines()
    assert (code, lines[1].split(";")[0]) == (0, "signed from event 3 up to event 3")
    assert lines[2].startswith("open: nothing before event 3 was signed when it was written")
    (home / "audit" / "signing.key").unlink()
    second = invoke(capsys, "audit", "key")[1].split()[2]
    assert trusted.read_text() == f"{public} from 3\n{second} from 4\n"
    assert invoke(capsys, "audit", "verify")[0] == 0


def test_a_head_that_is_none_is_a_usage_error(capsys, home):
    """Exit 2 and one line, not exit 1 and an alarm."""
    code, out, err = invoke(capsys, "audit", "verify", "--expect-head", "12")
    assert (code, out) == (2, "")
    assert err == (
        "backpack-migrate: --expect-head '12': not a head: "
        "give the `seq:hash` that audit verify printed\n"
    )


def test_a_restore_is_acknowledged_at_a_shell(capsys, home):
    """With a reason, once; the status page of the log says it in words."""
    journal = Journal(home / "journal.db")
    for number in range(3):
        journal.append("audit_note", migration_id="m", actor="ana", body={"number": number})
    (home / "journal.db").rename(home / "lost.db")
    for beside in ("journal.db-wal", "journal.db-shm"):
        (home / beside).unlink(missing_ok=True)
    Journal(home / "journal.db").append("audit_note", migration_id="m", actor="ana", body={})
    assert invoke(capsys, "audit", "verify")[0] == 1
    assert invoke(capsys, "audit", "restored", "--reason", " ")[0] == 2
    code, out, _ = invoke(capsys, "audit", "restored", "--reason", "disk lost", "--json")
    document = json.loads(out)
    assert (code, document["event"], document["reason"]) == (0, 2, "disk lost")
    assert (home / "audit" / document["kept"]).read_text().count("\n") == 3
    assert set(document) <= documented("audit restored")
    code, out, _ = invoke(capsys, "audit", "verify")
    assert (code, "anchored up to event 2" in out) == (0, True)
    page = invoke(capsys, "audit", "export", "--format", "markdown")[1]
    assert "the journal's database was restored: disk lost" in page
    code, _, err = invoke(capsys, "audit", "restored", "--reason", "again")
    assert (code, "do not contradict" in err) == (1, True)


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
        assert invoke(capsys, "journal", "init") == (0, "journal ready on SQLite\n", "")
    assert Journal(home / "journal.db").events() == []
    code, _, err = invoke(capsys, "journal", "init", "--writer", "airflow")
    assert (code, "only Postgres has roles" in err) == (2, True)
    code, _, err = invoke(capsys, "journal", "init", "--url-file", str(home / "none"))
    assert (code, "none: cannot be read" in err) == (2, True)


def test_init_makes_no_file_of_a_mistyped_url(capsys, home, monkeypatch):
    """Neither is it said that a journal is ready, nor is the password repeated or made a name."""
    monkeypatch.chdir(home)
    (home / "owner").write_text("postgres//u:hunter2@127.0.0.1/x\n")
    before = sorted(home.rglob("*"))
    for more in ((), ("--writer", "airflow")):
        code, out, err = invoke(capsys, "journal", "init", "--url-file", str(home / "owner"), *more)
        assert (code, out) == (2, "")
        assert "owner: no URL" in err
        assert "hunter2" not in err
    assert sorted(home.rglob("*")) == before
