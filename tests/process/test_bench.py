"""`python -m benchmarks` with a handful of messages: every contender, on real sockets."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.programme import EVERYTHING, SOCKETS

REPOSITORY = Path(__file__).resolve().parents[2]
FEEDS = ("native", "ccxt", "floor", "cryptofeed")

pytestmark = [pytest.mark.process, pytest.mark.alone]


def bench(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", "--rounds", "1", "--messages", "4000", *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=55,
    )


def test_every_contender_is_measured_in_one_run(tmp_path):
    """The whole programme writes the promised keys, its raw rounds, and every goal's verdict."""
    out = tmp_path / "feed.json"
    only = ",".join((*EVERYTHING, "sockets"))
    done = bench("--paced-seconds", "0.5", "--out", str(out), "--only", only)
    assert done.returncode == 0, done.stderr
    figures = json.loads(out.read_text())
    for feed in FEEDS:
        assert figures[f"{feed}_cpu_us_per_message"] > 0
        assert figures[f"{feed}_messages_per_second"] > 0
    assert figures["native_p99_receipt_to_callback_us"] > 0
    assert {"native_to_ccxt", "native_to_floor", "native_to_cryptofeed"} < figures.keys()
    assert len(figures["goals"]) == 6
    assert figures["rounds"].keys() == {*EVERYTHING, *SOCKETS}
    assert done.stdout.count("holds") + done.stdout.count("FALLS SHORT") == 6


def test_unknown_contender_is_refused():
    """A typing error gets one line with the known names, and starts nothing."""
    done = bench("--only", "native,flor")
    assert done.returncode == 2
    assert "'flor' is none of floor," in done.stderr
