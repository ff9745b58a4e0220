"""A command at a shell, and what it works on."""

import yaml

from feed_migration.cli.app import run
from feed_migration.gates.record import join_gate

STEP = "cutover-50"
RUN = "manual__2026-10-02T10:15:30+00:00"


def write_deployment(home, **more):
    document = {
        "prometheus_url": "http://127.0.0.1:9",
        "instances": [
            {"id": "feed-00", "url": "http://127.0.0.1:9", "config": "fleet/feed-00.yaml"}
        ],
        "airflow": {"url": "http://127.0.0.1:9"},
        **more,
    }
    (home / "deployment.yaml").write_text(yaml.safe_dump(document))


def open_gate(journal, key="dag/run#0"):
    return join_gate(
        journal,
        migration_id=journal.latest_migration(),
        step=STEP,
        key=key,
        actor="ana",
        started_unix=1_790_000_000.0,
    )


def invoke(capsys, *arguments):
    code = run(arguments)
    out, err = capsys.readouterr()
    return code, out, err


def newest(journal):
    return journal.state(journal.latest_migration())


def ticking():
    """A clock of which every look is 1.5 s later."""
    now = [1_790_900_000.0]

    def clock():
        now[0] += 1.5
        return now[0]

    return clock
