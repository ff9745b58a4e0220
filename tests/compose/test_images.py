"""The two Dockerfiles and what goes into their images."""

import re
import shutil
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.compose.files import DOCKERFILES, REPOSITORY, services

LOCKS = ("fleet", "airflow", "celery")
PIN = re.compile(
    r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})*)",
    re.MULTILINE,
)


def pins(path):
    """Package → (version, hashes)."""
    return {
        canonicalize_name(name): (version, frozenset(re.findall(r"[0-9a-f]{64}", hashes)))
        for name, version, hashes in PIN.findall(path.read_text())
    }


def lock(name):
    return pins(REPOSITORY / f"deploy/docker/requirements-{name}.txt")


ALL = pins(REPOSITORY / "requirements.txt")


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_of_an_image_is_pinned_with_hashes(name):
    """`pip install --require-hashes` takes the file as it is."""
    found = lock(name)
    assert len(found) > 20
    assert [package for package, (_, hashes) in found.items() if not hashes] == []


@pytest.mark.parametrize("name", ["fleet", "airflow"])
def test_images_have_the_versions_that_the_tests_run_with(name):
    """Another version in the image would be another product. `make lock` brings them together."""
    different = {
        package: (version, ALL.get(package, ("none",))[0])
        for package, (version, _) in lock(name).items()
        if ALL.get(package, ("none",))[0] != version
    }
    assert different == {}


def test_the_image_of_celery_differs_only_by_what_celery_brings():
    """The rest is Airflow's image."""
    airflow, celery = lock("airflow"), lock("celery")
    assert {name: celery[name] for name in airflow} == airflow
    assert "apache-airflow-providers-celery" in celery


def test_images_hold_all_that_the_wheel_declares():
    """A dependency that is new in pyproject.toml gets there by `make lock`."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    texts = [*project["dependencies"], *extras["ccxt"], *extras["sandbox"], *extras["migration"]]
    wanted = {canonicalize_name(Requirement(text).name) for text in texts}
    assert wanted - set(lock("airflow")) == set()
    of_airflow = {name for name in wanted if name.startswith("apache-airflow")}
    assert wanted - of_airflow - set(lock("fleet")) == set()


def test_the_fleet_has_no_airflow():
    """It would be a thousand times what it runs."""
    assert [name for name in lock("fleet") if name.startswith("apache-airflow")] == []


@pytest.mark.parametrize("name", sorted(DOCKERFILES))
def test_what_a_dockerfile_copies_is_there(name):
    """`COPY` of what is missing stops the build; of what .dockerignore hides, too."""
    ignored = (REPOSITORY / ".dockerignore").read_text().split()
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILES[name].read_text(), re.MULTILINE):
        *sources, _ = line.replace("${REQUIREMENTS}", "requirements-airflow.txt").split()
        for source in sources:
            assert (REPOSITORY / source).exists(), source
            assert not any(fnmatch(source, pattern) for pattern in ignored), source


@pytest.mark.parametrize("name", sorted(DOCKERFILES))
def test_a_dockerfile_ends_as_a_user_without_tools_to_build(name):
    """Two stages, hashes required, wheels only, no index in what is kept."""
    text = DOCKERFILES[name].read_text()
    assert text.count("\nFROM ") == 2
    _, _, last = text.rpartition("\nFROM ")
    assert re.search(r"^USER 10001:10001$", last, re.MULTILINE)
    assert "pip" not in last
    assert "apt-get" not in text
    assert "--require-hashes --only-binary :all:" in text
    assert not re.search(r"^(ARG|ENV).*PIP_.*=", last, re.MULTILINE)


def test_no_secret_reaches_an_image():
    """.env, keys and the state directory stay outside the build."""
    ignored = (REPOSITORY / ".dockerignore").read_text().split()
    assert {".env", ".git", "var", "**/api_key.json", "**/*.key"} <= set(ignored)


def test_every_command_of_a_service_exists():
    """Console scripts that the image's packages install."""
    scripts = {"backpack-migrate", "backpack-sandbox", "backpack-feed", "supervisord", "airflow"}
    for name, service in services().items():
        if not str(service["image"]).startswith("backpack-"):
            continue
        command = service.get("entrypoint") or service["command"]
        if command[0].startswith("/opt/backpack/"):
            file = REPOSITORY / command[0].removeprefix("/opt/backpack/")
            assert file.stat().st_mode & 0o111, f"{name}: {file} cannot be executed"
        else:
            assert command[0] in scripts | {"python"}, name
            assert shutil.which(command[0], path=str(Path(sys.executable).parent)), command[0]
