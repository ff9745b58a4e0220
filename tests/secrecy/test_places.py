"""The search for secrets finds them in every kind of place; pages have tests of their own."""

import gzip
import json
import sqlite3
import subprocess
import zlib

import pytest

from tests.secrecy.databases import rows
from tests.secrecy.decoys import PASSWORD, RAW, SEARCH, SEED, TEXT, found
from tests.secrecy.files import files
from tests.secrecy.processes import ProcessWatch
from tests.support.conditions import eventually_sync
from tests.support.postgres_server import postgres_server


def test_a_key_is_found_in_files_and_in_their_names(tmp_path):
    """However deep."""
    (tmp_path / "logs" / "old").mkdir(parents=True)
    (tmp_path / "logs" / "old" / "feed.log.1.gz").write_bytes(gzip.compress(TEXT.encode()))
    (tmp_path / RAW.hex()).touch()
    assert {(finding.kind, finding.place) for finding in SEARCH.findings(files(tmp_path))} == {
        ("path", f"{tmp_path}/{RAW.hex()}"),
        ("file", f"{tmp_path}/logs/old/feed.log.1.gz"),
    }


def test_a_key_is_found_in_rows_and_in_what_was_deleted(tmp_path):
    """Text, JSON, blobs, compressed blobs; and in the pages of a database after its row is gone."""
    with sqlite3.connect(tmp_path / "airflow.db") as database:
        database.execute("PRAGMA secure_delete = OFF")
        database.execute("CREATE TABLE xcom (key TEXT, value)")
        database.execute("CREATE TABLE dag_code (source BLOB)")
        database.execute("CREATE TABLE forgotten (word TEXT)")
        database.execute("INSERT INTO xcom VALUES ('return_value', ?)", [json.dumps({"k": TEXT})])
        database.execute("INSERT INTO dag_code VALUES (?)", [zlib.compress(RAW)])
        database.execute("INSERT INTO forgotten VALUES (?)", [PASSWORD.text])
        database.commit()
        database.execute("DELETE FROM forgotten")
    database.close()
    where = {(f.kind, f.place.partition(": ")[2]) for f in SEARCH.findings(files(tmp_path))}
    assert where == {("file", ""), ("database rows", "xcom"), ("database rows", "dag_code")}
    assert ("file", PASSWORD.name) in found(*files(tmp_path))


def test_a_key_is_found_in_rows_of_postgresql():
    """JSON, bytes and text come as other types there."""
    with postgres_server() as server:
        server.sql(
            'CREATE TABLE "Xcom" (value jsonb)',
            "CREATE TABLE blobs (value bytea)",
            "CREATE TABLE clean (value text)",
            "INSERT INTO clean VALUES ('nothing')",
        )
        with server.connect() as connection:
            connection.execute('INSERT INTO "Xcom" VALUES (%s)', [json.dumps([TEXT])])
            connection.execute("INSERT INTO blobs VALUES (%s)", [RAW])
        places = [finding.place for finding in SEARCH.findings(rows(server.url(), "db"))]
    assert places == ["db: Xcom", "db: blobs"]


@pytest.mark.parametrize("kind", ["command line", "environment"])
def test_a_key_is_found_in_what_a_process_was_started_with(kind):
    """Of a program that begins and ends while one looks; of a shell that becomes another program."""
    arguments = [TEXT] if kind == "command line" else []
    environment = {"SEED": RAW.hex()} if kind == "environment" else {}
    with ProcessWatch() as watch:
        shell = ["sh", "-c", 'exec tail -f /dev/null "$@"', "decoy"]
        with subprocess.Popen(
            [*shell, *arguments], env=environment, stderr=subprocess.DEVNULL
        ) as decoy:
            eventually_sync(lambda: watch.saw("tail -f /dev/null", *arguments))
            decoy.kill()
    assert found(*watch.places()) == {(kind, SEED.name)}
    assert not watch.saw("no such program")
