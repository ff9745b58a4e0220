"""Configuration files of the embedded deployment, as text and data. No I/O."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tools.demo.airflow_env import ADMIN
from tools.demo.layout import REPOSITORY, Layout

SCRAPE_INTERVAL_SECONDS = 1
EVALUATION_INTERVAL_SECONDS = 2
RULES = REPOSITORY / "deploy" / "prometheus" / "rules" / "*.yaml"
BOOK_EVENTS_PER_SECOND = 5


def supervisord(
    layout: Layout, airflow: Mapping[str, Sequence[str]], prometheus: str, plan: Path
) -> str:
    """Return supervisord.conf: the venue, Prometheus and the guard start with it, Airflow later."""
    home = layout.home
    sections = [
        _section("unix_http_server", file=layout.supervisor_socket, chmod="0700"),
        _section(
            "supervisord",
            nodaemon="true",
            logfile=home / "logs" / "supervisord.log",
            pidfile=home / "supervisord.pid",
            childlogdir=home / "logs",
            loglevel="info",
        ),
        _section(
            "rpcinterface:supervisor",
            **{
                "supervisor.rpcinterface_factory": (
                    "supervisor.rpcinterface:make_main_rpcinterface"
                )
            },
        ),
        _section("supervisorctl", serverurl=f"unix://{layout.supervisor_socket}"),
        _section("include", files=home / "fleet.d" / "*.conf"),
        _program(layout, "sandbox", _sandbox_command(layout), priority=1),
        _program(layout, "prometheus", _prometheus_command(layout, prometheus), priority=2),
        _program(layout, "guard", _guard_command(layout, plan), priority=3, startretries=1000),
    ]
    environment_file = home / "airflow" / "airflow.env"
    for name, argv in airflow.items():
        # what Airflow is set to stands in one file, for its processes and for a person's shell
        script = f". {shlex.quote(str(environment_file))} && exec {shlex.join(argv)}"
        command = shlex.join(["sh", "-c", script])
        sections.append(_program(layout, name, command, autostart="false", priority=900))
    return "\n".join(sections)


def environment_file(environment: Mapping[str, str]) -> str:
    """Return a shell file that exports `environment`."""
    lines = (f"export {name}={shlex.quote(value)}" for name, value in sorted(environment.items()))
    return "\n".join(lines) + "\n"


def prometheus(layout: Layout) -> dict[str, Any]:
    """Return prometheus.yml as data: file-based discovery of the fleet, the shipped rules."""
    return {
        "global": {
            "scrape_interval": f"{SCRAPE_INTERVAL_SECONDS}s",
            "scrape_timeout": f"{SCRAPE_INTERVAL_SECONDS}s",
            "evaluation_interval": f"{EVALUATION_INTERVAL_SECONDS}s",
        },
        "rule_files": [str(RULES)],
        # none is there; who wants to be woken by a rehearsal puts a file there
        "alerting": {"alertmanagers": [{"file_sd_configs": [_alertmanagers(layout)]}]},
        "scrape_configs": [
            {
                "job_name": "backpack_feed",
                "file_sd_configs": [
                    {
                        "files": [str(layout.home / "prometheus" / "targets" / "*.json")],
                        "refresh_interval": "5s",
                    }
                ],
            },
            {
                "job_name": "feed_migration_guard",
                "static_configs": [{"targets": [f"127.0.0.1:{layout.guard_port}"]}],
            },
        ],
    }


def _alertmanagers(layout: Layout) -> dict[str, Any]:
    files = layout.home / "prometheus" / "alertmanagers" / "*.json"
    return {"files": [str(files)], "refresh_interval": "5s"}


def prometheus_targets(layout: Layout) -> list[dict[str, Any]]:
    """Return the discovery file: handlers and shadows, told apart by the label `role`."""
    return [
        {"targets": [f"127.0.0.1:{port}" for port in ports.values()], "labels": {"role": role}}
        for role, ports in (("handler", layout.instances), ("shadow", layout.shadow_instances))
    ]


def deployment(layout: Layout) -> dict[str, Any]:
    """Return deployment.yaml as data: where the migration finds each part."""
    return {
        "prometheus_url": layout.prometheus_url,
        "fleet": {
            "kind": "supervisor",
            "socket": layout.supervisor_socket.name,
            "include_dir": "fleet.d",
            "ready_deadline_seconds": 60,
            "max_unavailable": 5,
        },
        "instances": [_instance(name, port) for name, port in layout.instances.items()],
        "shadow_instances": [
            _instance(name, port) for name, port in layout.shadow_instances.items()
        ],
        "venue": _venue(layout),
        "credentials_file": str(layout.credentials_file),
        "airflow": {
            "url": layout.airflow_url,
            "username": ADMIN,
            "password_file": "airflow/passwords.json",
        },
        "guard_url": layout.guard_url,
    }


def feed(layout: Layout, instance_id: str, port: int, symbols: Sequence[str]) -> dict[str, Any]:
    """Return the configuration of one FeedHandler process."""
    return {
        "instance_id": instance_id,
        "symbols": list(symbols),
        "venue": _venue(layout),
        "credentials_file": str(layout.credentials_file),
        "metrics": {"host": "127.0.0.1", "port": port},
        "sinks": [{"kind": "tape", "directory": str(layout.home / "tapes" / instance_id)}],
    }


def shadow(layout: Layout, instance_id: str, port: int, symbols: Sequence[str]) -> dict[str, Any]:
    """Return the configuration of a shadow process: both feeds, read only."""
    handler = feed(layout, instance_id, port, symbols)
    evidence = str(layout.home / "parity" / f"{instance_id}.json")
    return {**handler, "role": "shadow", "sinks": [], "parity_file": evidence}


def shards(symbols: Sequence[str], count: int) -> list[list[str]]:
    """Deal `symbols` to `count` shards in a stable order; every shard has at least one."""
    ordered = sorted(symbols)
    return [ordered[index::count] for index in range(count)]


def _venue(layout: Layout) -> dict[str, str]:
    return {
        "rest_url": layout.rest_url,
        "ws_url": layout.websocket_url,
        "ca_file": str(layout.ca_file),
    }


def _instance(name: str, port: int) -> dict[str, str]:
    return {"id": name, "url": f"http://127.0.0.1:{port}", "config": f"fleet/{name}.yaml"}


def _sandbox_command(layout: Layout) -> str:
    return shlex.join(
        [
            str(layout.venv_bin / "backpack-sandbox"),
            "serve",
            *("--state-dir", str(layout.home / "sandbox")),
            *("--port", str(layout.sandbox_port)),
            *("--rate", str(BOOK_EVENTS_PER_SECOND)),
            *("--seed", "7"),
        ]
    )


def _prometheus_command(layout: Layout, binary: str) -> str:
    directory = layout.home / "prometheus"
    return shlex.join(
        [
            binary,
            f"--config.file={directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{layout.prometheus_port}",
        ]
    )


def _guard_command(layout: Layout, plan: Path) -> str:
    return shlex.join(
        [
            str(layout.venv_bin / "backpack-migrate"),
            *("guard", "run"),
            *("--plan", str(plan)),
            *("--port", str(layout.guard_port)),
        ]
    )


def _program(layout: Layout, name: str, command: str, **options: object) -> str:
    log = layout.home / "logs" / f"{name}.log"
    defaults: dict[str, object] = {
        "command": command,
        "directory": REPOSITORY,
        "autorestart": "true",
        "startsecs": 1,
        "startretries": 10,
        "stopasgroup": "true",
        "killasgroup": "true",
        "stopwaitsecs": 8,
        "redirect_stderr": "true",
        "stdout_logfile": log,
    }
    return _section(f"program:{name}", **(defaults | options))


def _section(title: str, **options: object) -> str:
    # supervisord expands %(…)s, so a % in a path must be doubled
    lines = (f"{key} = {str(value).replace('%', '%%')}" for key, value in options.items())
    return f"[{title}]\n" + "\n".join(lines) + "\n"
