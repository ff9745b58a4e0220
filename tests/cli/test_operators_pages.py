"""Commands on operators' pages: the command line, the containers and the cluster know them."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
import yaml

from feed_migration.cli.app import app
from tests.compose.files import REPOSITORY, services

DOCS = REPOSITORY / "docs"
PAGES = sorted(
    [
        *(
            DOCS / name
            for name in ("cli.md", "compose.md", "console.md", "guard.md", "kubernetes.md")
        ),
        *(DOCS / name for name in ("notifications.md", "operations.md", "runbook.md")),
        DOCS / "metrics" / "alerts.md",
        *(REPOSITORY / "dags").glob("*.py"),
    ]
)
FEED = (REPOSITORY / "plugins" / "backpack_feed").rglob("*.py")
OF_COMPOSE_WITH_VALUE = {"-e", "-u", "-w", "-f"}
IN_IMAGES = "/opt/backpack/"
by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def snippets(page: Path) -> Iterator[str]:
    """Every line of a block of code, and every piece of code within a text."""
    text = page.read_text(encoding="utf-8")
    fenced = re.compile(r"^```[a-z]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
    for block in fenced.findall(text):
        yield from block.replace("\\\n", " ").splitlines()
    for code in re.findall(r"`([^`]+)`", fenced.sub("", text)):
        yield " ".join(code.split())


def commands(page: Path, program: str) -> list[list[str]]:
    """The words after `program`, each time that something is asked of it."""
    found = []
    for snippet in snippets(page):
        for part in re.split(r"&&|\||(?<= )#|;", snippet):
            try:
                words = shlex.split(part)
            except ValueError:
                # half of a quotation: nothing of it is a command of ours
                continue
            if program in words[:-1]:
                found.append(words[words.index(program) + 1 :])
    return found


def operated(page: Path) -> list[list[str]]:
    """What is asked of `backpack-migrate`, in a container too."""
    found = commands(page, "backpack-migrate")
    for words in commands(page, "docker-compose"):
        name, rest = container(words)
        found += [rest] if name == "migrate" else []
    return [words for words in found if words and words != ["…"]]


def container(words: list[str]) -> tuple[str, list[str]]:
    """The service of `docker-compose exec` and `run`, and the command in it; else "" and nothing."""
    rest = list(words)
    while rest and rest.pop(0) not in {"exec", "run"}:
        pass
    while rest and rest[0].startswith("-"):
        taken = 2 if rest[0] in OF_COMPOSE_WITH_VALUE else 1
        rest = rest[taken:]
    return (rest[0], rest[1:]) if rest else ("", [])


def problem(words: list[str]) -> str:
    """What the command line would not understand of `words`, "" where it would."""
    command, rest = typer.main.get_command(app), [word for word in words if word != "…"]
    while (subcommands := getattr(command, "commands", None)) and rest and rest[0][0] != "-":
        if rest[0] not in subcommands:
            return f"no command {rest[0]}"
        command = subcommands[rest.pop(0)]
    options = {name for param in command.params for name in param.opts}
    options |= {"--help", "--install-completion", "--show-completion"}
    unknown = {word for word in rest if word.startswith("--")} - options
    needed = [one for one in command.params if one.param_type_name == "argument" and one.required]
    missing = len(needed) > len([word for word in rest if not word.startswith("-")])
    return f"no {', '.join(sorted(unknown))}" if unknown else "an argument is missing" * missing


@by_page
def test_the_command_line_knows_what_is_asked_of_it(page):
    """Commands, options and how many arguments there have to be."""
    told = {" ".join(words): problem(words) for words in operated(page)}
    assert {words: why for words, why in told.items() if why} == {}


@pytest.mark.parametrize(
    "words", ["stauts", "rollback --reson x", "audit verfy", "plan check", "guard run --ports 1"]
)
def test_what_it_does_not_know_would_be_found(words):
    """Or the test above is worth nothing."""
    assert problem(words.split())


@by_page
def test_containers_have_what_is_run_in_them(page):
    """The service, the files of the image; none of ours has a curl, and who acts gives a name."""
    for words in commands(page, "docker-compose"):
        name, rest = container(words)
        assert name in {"", *services()}, words
        assert rest[:1] != ["curl"], words
        for path in (word for word in rest if word.startswith(IN_IMAGES)):
            assert (REPOSITORY / path.removeprefix(IN_IMAGES)).is_file(), words
        if name == "migrate" and "--reason" in rest:
            assert "LOGNAME=$USER" in words, words


@by_page
def test_the_cluster_has_what_is_asked_for(page):
    """Names of deployments and of containers as in deploy/kubernetes."""
    documents = [
        document
        for path in (REPOSITORY / "deploy" / "kubernetes").glob("*.yaml")
        for document in yaml.safe_load_all(path.read_text())
    ]
    deployments = {
        one["metadata"]["name"]: [
            container["name"] for container in one["spec"]["template"]["spec"]["containers"]
        ]
        for one in documents
        if one.get("kind") == "Deployment"
    }
    for words in commands(page, "kubectl"):
        for name in (word.removeprefix("deploy/") for word in words if word.startswith("deploy/")):
            if name == "kubernetes":
                continue
            assert name in deployments, words
            if "-c" in words:
                assert words[words.index("-c") + 1] in deployments[name], words


def test_the_check_of_credentials_is_told_which():
    """On pages, and in what the feed itself says; without them it ends with 2."""
    asked = []
    for place in [*PAGES, *FEED]:
        said = " ".join(re.sub(r'"\n\s*f?"', "", place.read_text()).split())
        asked += re.findall(r"-m tools\.backpack_auth_check( \S+)?", said)
    assert set(asked) == {" --credentials"}


def test_the_runbook_has_each_command_for_each_way_of_running_it():
    """Who is on call reads one page, on a host, with docker-compose or on Kubernetes."""
    runbook = DOCS / "runbook.md"
    asked = [container(words) for words in commands(runbook, "docker-compose")]
    assert ("migrate", ["rollback", "--reason", "…"]) in asked
    health = services()["guard"]["healthcheck"]["test"][1:]
    assert ("guard", health) in asked
    assert any("backpack-migrate" in words for words in commands(runbook, "kubectl"))
