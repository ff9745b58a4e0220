"""`python -m benchmarks.sandbox`, briefly: a server process, a client process, real sockets."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.process, pytest.mark.alone]


def bench(out: Path, only: str) -> str:
    options = ("--seconds", "0.3", "--only", only, "--out", str(out))
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.sandbox", *options],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=55,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("only", "clients", "least_bytes", "most_bytes"),
    [
        ("20 clients, shared deflate", 20, 80, 150),
        ("1 deflating client", 1, 10, 60),
        ("prepared frames, 20 clients, asyncio", 20, 150, 250),
        ("market's own frames, 1 client", 1, 150, 250),
        ("published mean load", 1, 150, 250),
    ],
)
def test_frames_arrive_in_the_size_that_was_agreed_and_are_counted(
    tmp_path, only, clients, least_bytes, most_bytes
):
    """More than a thousand a second to every client, and what each side of it cost."""
    out = tmp_path / "sandbox.json"
    table = bench(out, only)
    (case,) = json.loads(out.read_text())["cases"]
    assert case["clients"] == clients
    assert case["frames_per_second"] > 1000
    assert case["capacity_per_second"] >= case["frames_per_second"] * 0.9
    assert least_bytes < case["bytes_per_frame"] < most_bytes
    assert 0 < case["server_cpu_share"] < 1.1
    assert case["name"] in table
