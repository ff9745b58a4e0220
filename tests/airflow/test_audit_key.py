"""The signing key may be the password of an Airflow connection instead of a file."""

import pytest

from feed_migration.errors import JournalUnavailable
from feed_migration.journal.keys import AuditPlace, make_key
from feed_migration.orchestration.audit_key import signer_of_connection
from feed_migration.orchestration.place import current_place
from feed_migration.orchestration.runtime import open_runtime
from tests.airflow.conftest import Stage


@pytest.fixture
def connect(monkeypatch):
    """Make a connection of Airflow's with a password, in the way of its environment."""

    def make(password):
        monkeypatch.setenv("BACKPACK_AUDIT_KEY_CONN_ID", "audit_key")
        monkeypatch.setenv(
            "AIRFLOW_CONN_AUDIT_KEY", f'{{"conn_type":"generic","password":"{password}"}}'
        )

    return make


def test_a_task_signs_with_the_key_of_the_connection(stage: Stage, connect):
    """The file is gone, its public key is still trusted, and the head is signed."""
    place = AuditPlace.of(stage.home)
    public = make_key(place)
    connect(place.signing_key.read_text().strip())
    place.signing_key.unlink()
    journal = open_runtime(current_place()).journal
    journal.append("held", migration_id="m", actor="ann", body={"step": "shadow"})
    assert [head.key for head in journal.heads()] == [public]
    assert journal.verify().signed_seq == 1


def test_a_password_that_is_no_key_names_the_connection_and_not_itself(stage: Stage, connect):
    """The message is in the task's log."""
    connect("hunter2")
    with pytest.raises(JournalUnavailable, match="connection audit_key: not 64 hex") as refusal:
        open_runtime(current_place())
    assert "hunter2" not in str(refusal.value)


def test_without_the_variable_no_connection_is_asked(stage: Stage):
    """The key is a file then."""
    assert signer_of_connection({}) is None
