"""docker-compose.yaml as docker-compose reads it: variables put in, both files laid over another."""

import re
import subprocess
from functools import cache
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
MAIN = REPOSITORY / "docker-compose.yaml"
CELERY = REPOSITORY / "docker-compose.celery.yaml"
DOCKERFILES = {
    name: REPOSITORY / f"deploy/docker/{name}.Dockerfile" for name in ("airflow", "fleet")
}
VARIABLE = re.compile(r"(?<!\$)\$\{(?P<name>[A-Z_]+)(?P<kind>:[-?])?(?P<rest>[^}]*)\}")


@cache
def raw(path=MAIN):
    return yaml.safe_load(path.read_text())


def services(path=MAIN):
    return raw(path)["services"]


def merged():
    """Services with Celery's file laid over; as docker-compose does it for what a test asks."""
    both = {name: dict(service) for name, service in services().items()}
    for name, service in services(CELERY).items():
        under = both.setdefault(name, {})
        for key, value in service.items():
            mapping = isinstance(value, dict) and isinstance(under.get(key), dict)
            under[key] = {**under[key], **value} if mapping else value
    return both


def variables(path=MAIN):
    """(name, `:-`, `:?` or None, default or message) of each variable in the file."""
    text = "\n".join(line for line in path.read_text().splitlines() if not line.startswith("#"))
    return [(m["name"], m["kind"], m["rest"]) for m in VARIABLE.finditer(text)]


def filled(path, settings):
    """The file with its variables put in."""

    def value(match):
        default = match["rest"] if match["kind"] == ":-" else ""
        return settings.get(match["name"]) or default

    return yaml.safe_load(VARIABLE.sub(value, path.read_text()))


def make_env(path, **environment):
    """Run `make env`'s script; returns the finished process."""
    return subprocess.run(
        [REPOSITORY / "deploy/docker/make-env.sh"],
        env={"PATH": "/usr/bin:/bin", "ENV_FILE": str(path), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def settings_in(path):
    pairs = (line.partition("=") for line in path.read_text().splitlines())
    return {name: value for name, equals, value in pairs if equals and not name.startswith("#")}
