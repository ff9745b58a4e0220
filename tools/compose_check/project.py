"""One composed deployment of its own name, up and down."""

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.compose_check.engine import CheckError, Engine, run
from tools.compose_check.own_images import REPOSITORY
from tools.compose_check.parts import Parts

NAME = "backpack-check"
HEALTH_DEADLINE_SECONDS = 420.0
_POLL_SECONDS = 3.0


@dataclass(frozen=True)
class Project:
    """`env_file` is what `make env` made."""

    engine: Engine
    env_file: Path
    parts: Parts

    def compose(self, *arguments: str, check: bool = True, timeout: float = 900.0) -> str:
        """Run docker-compose 1 or `docker compose` 2 for this project."""
        command = ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]
        files = [word for name in self.parts.files for word in ("--file", str(REPOSITORY / name))]
        profiles = [word for name in self.parts.profiles for word in ("--profile", name)]
        return run(
            [
                *command,
                *("--project-name", NAME, "--env-file", str(self.env_file)),
                *files,
                *profiles,
                *arguments,
            ],
            self.engine.environment,
            check=check,
            timeout=timeout,
        )

    def up(self) -> None:
        """Start every service of `parts`."""
        names = self.compose("config", "--services").split()
        wanted = [name for name in names if name not in self.parts.left_out]
        self.compose("up", "--detach", "--no-build", *wanted)

    def down(self) -> None:
        """Remove containers, networks and volumes; CheckError if anything is left."""
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "20")
        for kind in ("container", "volume", "network"):
            flags = ("--all",) if kind == "container" else ()
            label = f"label=com.docker.compose.project={NAME}"
            left = self.engine.docker(kind, "ls", "--quiet", *flags, "--filter", label)
            if left.strip():
                raise CheckError(f"{kind}s are left after down: {' '.join(left.split())}")

    def containers(self) -> dict[str, dict[str, Any]]:
        """Return service → `docker inspect` of its container, those of `run` left out."""
        label = f"label=com.docker.compose.project={NAME}"
        ids = self.engine.docker("ps", "--all", "--quiet", "--filter", label).split()
        found = json.loads(self.engine.docker("inspect", *ids)) if ids else []
        return {
            entry["Config"]["Labels"]["com.docker.compose.service"]: entry
            for entry in found
            if entry["Config"]["Labels"].get("com.docker.compose.oneoff", "False") == "False"
        }

    def await_health(self, say: Callable[[str], None]) -> None:
        """Wait until every container with a health check is healthy, and `init` is done."""
        deadline = time.monotonic() + HEALTH_DEADLINE_SECONDS
        while True:
            states = {name: _state(entry) for name, entry in self.containers().items()}
            waiting = {name: state for name, state in states.items() if state not in _GOOD}
            if not waiting:
                say(f"healthy: {', '.join(sorted(states))}")
                return
            if time.monotonic() > deadline or states.get("init", "").startswith("exited"):
                raise CheckError(f"not healthy: {waiting}")
            time.sleep(_POLL_SECONDS)

    def status(self) -> dict[str, Any]:
        """Return `backpack-migrate status --json`, asked beside the guard."""
        text = self.migrate("status", "--json")
        answer: dict[str, Any] = json.loads(text[text.index("{") :])
        return answer

    def migrate(self, *arguments: str, check: bool = True) -> str:
        """Run `backpack-migrate` in the guard's container."""
        return self.compose(
            *("exec", "-T", "-e", "LOGNAME=checker", "guard", "backpack-migrate", *arguments),
            check=check,
        )


_GOOD = {"healthy", "done"}


def _state(entry: dict[str, Any]) -> str:
    state = entry["State"]
    if state["Status"] == "exited":
        return "done" if state["ExitCode"] == 0 else f"exited with {state['ExitCode']}"
    health = state.get("Health") or {}
    return str(health.get("Status") or state["Status"])


def make_env(path: Path, begin: Mapping[str, str], parts: Parts) -> dict[str, str]:
    """Let `make env` complete `path`, which begins with `begin`, and return what it says."""
    path.write_text("".join(f"{name}={value}\n" for name, value in begin.items()))
    more = {"ALERTMANAGER": "own"} if parts.alertmanager else {}
    subprocess.run(
        [REPOSITORY / "deploy/docker/make-env.sh"],
        env={"PATH": "/usr/bin:/bin", "ENV_FILE": str(path), "VENUE": "sandbox", **more},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    pairs = (line.partition("=") for line in path.read_text().splitlines() if "=" in line)
    return {name: value for name, _, value in pairs}
