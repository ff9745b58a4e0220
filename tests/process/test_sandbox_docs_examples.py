"""Every program and command line of docs/sandbox, run against a venue started as the pages say."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.node_process import FOLDER as NODE_FOLDER
from tests.conformance.node_process import NODE

DOCS = Path(__file__).resolve().parents[2] / "docs" / "sandbox"
PORT = "8600"
DEADLINE_SECONDS = 30
pytestmark = pytest.mark.alone

RUNNERS = ("python", "js", "sh")
SHOWS = {
    "README.md python 1": r"https:\S+ wss://127\.0\.0\.1:\d+ .*ca\.pem .*\n[\d.]+ [\d.]+\n[\d.]+ [\d.]+\n",
    "README.md sh 1": r'\{"message":null,"status":"Ok"\}',
    "rest.md sh 1": r'\{"asks":\[\[.*"lastUpdateId":"\d+".*\}',
    "signed.md python 1": r"200 \[\]\n",
    "websocket.md python 1": r'\{"data":.*"stream":"depth\.SOL_USDC"\}\n',
    "faults.md sh 1": r"\{\}",
    "clients.md python 1": r"\[[\d.]+, [\d.]+\]\n",
    "clients.md python 2": r"[\d.]+\n\{.*'total': 1000000\.0\}\n",
    "clients.md python 3": r"\['[\d.]+', '[\d.]+'\]\n",
    "clients.md python 4": r"\{'available': '1000000',.*\}\n",
    "clients.md js 1": r"[\d.]+\n",
}
"""What each example prints, by its page, its language and its place among those."""


def examples() -> dict[str, str]:
    """The programs of every page, by name as in SHOWS."""
    found = {}
    for page in sorted(DOCS.glob("*.md")):
        for language in RUNNERS:
            blocks = re.findall(
                rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL
            )
            found |= {f"{page.name} {language} {n}": text for n, text in enumerate(blocks, 1)}
    return found


@pytest.fixture(scope="module")
def started(tmp_path_factory) -> Iterator[tuple[Path, int]]:
    """The folder of a venue that runs as the pages say, but for the port."""
    folder = tmp_path_factory.mktemp("newcomer")
    command = [sys.executable, "-m", "backpack_sandbox", "serve", "--state-dir", "var/sandbox"]
    with subprocess.Popen([*command, "--port", "0"], cwd=folder, stdout=subprocess.PIPE) as venue:
        try:
            yield folder, json.loads(venue.stdout.readline())["port"]
        finally:
            venue.terminate()
            assert venue.wait(DEADLINE_SECONDS) == 0


def test_every_program_of_the_pages_is_run():
    """A new example needs a line in SHOWS."""
    assert set(examples()) == set(SHOWS)


@pytest.mark.parametrize("name", SHOWS)
def test_an_example_prints_what_a_newcomer_expects(name, started):
    """As it stands on its page, in the folder of the venue."""
    folder, port = started
    page, language, _ = name.split()
    text = examples()[name].replace(PORT, str(port))
    ca_file = {"NODE_EXTRA_CA_CERTS": str(folder / "var/sandbox/ca.pem")}
    command, where, environment = {
        "python": ([sys.executable, "-"], folder, {}),
        "sh": (["sh", "-e"], folder, {}),
        "js": ([NODE, "--input-type=module"], NODE_FOLDER, ca_file),
    }[language]
    if page == "faults.md":  # the command is for venues with this fault
        fault(folder, port, "cert_expired")
    done = subprocess.run(
        command,
        cwd=where,
        env=os.environ | environment,
        input=text,
        text=True,
        capture_output=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert re.fullmatch(SHOWS[name], done.stdout, re.DOTALL), (done.stdout, done.stderr)
    assert done.returncode == 0
    if page == "faults.md":
        assert fault(folder, port, "--list") == ""


def fault(folder: Path, port: int, what: str) -> str:
    """What `backpack-sandbox fault` prints: of `--list` a line for each."""
    command = [sys.executable, "-m", "backpack_sandbox", "fault", what]
    address = ["--url", f"https://127.0.0.1:{port}", "--ca", "var/sandbox/ca.pem"]
    return subprocess.run(
        [*command, *address],
        cwd=folder,
        text=True,
        capture_output=True,
        timeout=DEADLINE_SECONDS,
        check=True,
    ).stdout
