"""`guard run --json`: where it listens, as a document, and its log as JSON lines."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import requests
import yaml

from tests.support.conditions import eventually_sync

PROGRAM = Path(sys.executable).with_name("backpack-migrate")
PLAN = Path(__file__).parents[2] / "plans" / "demo.yaml"


def test_a_guard_says_in_json_where_it_listens(tmp_path, monkeypatch):
    """One document on stdout once it does, so that a script need not guess a port."""
    monkeypatch.setenv("BACKPACK_HOME", str(tmp_path))
    document = {
        "prometheus_url": "http://127.0.0.1:9",
        "instances": [{"id": "feed-00", "url": "http://127.0.0.1:9", "config": "f.yaml"}],
    }
    (tmp_path / "deployment.yaml").write_text(yaml.safe_dump(document))
    command = [PROGRAM, "guard", "run", "--plan", PLAN, "--json"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as guard:
        try:
            said = json.loads(guard.stdout.readline())
            assert said["guarding"] == str(tmp_path)
            eventually_sync(lambda: requests.get(said["healthz"], timeout=10).ok, 30.0)
        finally:
            guard.send_signal(signal.SIGTERM)
            out, log = guard.communicate(timeout=30)
    assert (guard.returncode, out) == (0, "")
    records = [json.loads(row) for row in log.splitlines()]
    assert records[0]["message"].startswith(f"guarding {tmp_path}")
    assert {"at", "level", "message"} <= set(records[0])
