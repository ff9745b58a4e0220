"""What `docker inspect` and the processes themselves say of a running deployment."""

from collections.abc import Iterator, Mapping
from typing import Any

from tools.compose_check.project import Project

SECRET_WORDS = ("PASSWORD", "SECRET", "FERNET", "PAGER")
# these get theirs from the environment, as their images want it
_TOLD = {"init", "postgres", "grafana", "redis"}


def findings(project: Project, settings: Mapping[str, str]) -> list[str]:
    """Return everything that is not as docs/compose.md promises; empty is good."""
    found: list[str] = []
    secrets = secrets_in(settings)
    for service, entry in project.containers().items():
        found += [f"{service}: {text}" for text in _settings(service, entry, secrets)]
        if entry["State"]["Running"]:
            found += [f"{service}: {text}" for text in _process(project, entry["Id"])]
        said = project.engine.docker("logs", entry["Id"], check=False)
        found += [f"{service}: {name} is in its log" for name, v in secrets.items() if v in said]
    return found


def secrets_in(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the settings that nobody may read; one that is empty is none."""
    return {n: v for n, v in settings.items() if v and any(word in n for word in SECRET_WORDS)}


def _settings(service: str, entry: dict[str, Any], secrets: Mapping[str, str]) -> Iterator[str]:
    host, config = entry["HostConfig"], entry["Config"]
    facts = {
        "runs as root": config["User"].split(":")[0] not in {"", "0", "root"},
        "its root can be written": host["ReadonlyRootfs"],
        "has capabilities": host["CapDrop"] == ["ALL"] and not host["CapAdd"],
        "may gain privileges": "no-new-privileges:true" in (host["SecurityOpt"] or []),
        "is privileged": not host["Privileged"],
        "has no memory limit": host["Memory"] > 0,
        "has no limit of processes": (host["PidsLimit"] or 0) > 0,
        "has no CPU limit": host["NanoCpus"] > 0 or host["CpuQuota"] > 0,
        "keeps its log for ever": "max-size" in (host["LogConfig"]["Config"] or {}),
        "does not restart": service == "init" or host["RestartPolicy"]["Name"] == "unless-stopped",
    }
    yield from (text for text, holds in facts.items() if not holds)
    for bindings in (host["PortBindings"] or {}).values():
        for binding in bindings or []:
            if binding["HostIp"] != "127.0.0.1":
                yield f"is published on {binding['HostIp'] or 'every address'}"
    argv = " ".join([entry["Path"], *entry["Args"]])
    environment = " ".join(config["Env"] or [])
    for name, value in secrets.items():
        if value in argv:
            yield f"{name} is among its arguments"
        if value in environment and service not in _TOLD:
            yield f"{name} is in its environment"


def _process(project: Project, container: str) -> Iterator[str]:
    """The kernel's word: uid, capabilities and the file system of process 1."""
    docker = project.engine.docker
    status = docker("exec", container, "cat", "/proc/1/status", check=False)
    lines = dict(line.partition(":")[::2] for line in status.splitlines())
    if lines.get("Uid", "\t0").split()[0] == "0":
        yield "process 1 is root"
    if int(lines.get("CapEff", "1").strip(), 16) != 0:
        yield f"process 1 has capabilities {lines.get('CapEff', '').strip()}"
    if lines.get("NoNewPrivs", "").strip() != "1":
        yield "process 1 may gain privileges"
    if "Read-only file system" not in docker("exec", container, "touch", "/etc/x", check=False):
        yield "/etc can be written"
