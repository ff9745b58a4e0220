"""The command line of the sandbox, as another process."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

COMMAND = [sys.executable, "-m", "backpack_sandbox"]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=30, check=False
    )


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[dict[str, Any]]:
    state_dir = tmp_path_factory.mktemp("venue")
    serve = [*COMMAND, "serve", "--state-dir", str(state_dir), "--port", "0", "--rate", "20"]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        ready = json.loads(process.stdout.readline())
        yield ready | {"process": process, "state_dir": state_dir}
        process.terminate()
        assert process.wait(10) == 0


def address(served: dict[str, Any]) -> list[object]:
    return ["--url", served["rest_url"], "--ca", served["state_dir"] / "ca.pem"]


def test_serve_says_where_it_listens(served):
    """One JSON line, once it does; and the files that clients need are there."""
    assert served["ready"] is True
    assert served["rest_url"] == f"https://127.0.0.1:{served['port']}"
    assert {"ca.pem", "api_key.json", "ledger.jsonl"} <= {
        path.name for path in served["state_dir"].iterdir()
    }


def test_a_port_in_use_is_one_line_and_exit_2(served, tmp_path: Path):
    """It names the port and the remedy."""
    second = run("serve", "--state-dir", tmp_path, "--port", served["port"])
    assert second.returncode == 2
    assert second.stderr.count("\n") == 1
    assert f"port {served['port']} of 127.0.0.1 is already in use" in second.stderr


def test_faults_are_started_and_cleared_by_command(served):
    """The id comes back as JSON."""
    started = run("fault", "gap", *address(served), "--user-agent", "nobody*")
    assert json.loads(started.stdout)["id"] >= 1
    assert run("fault", "--clear", *address(served)).returncode == 0


def test_truth_is_printed_as_json_lines(served):
    """Trades from an id on, and the newest ids of all markets."""
    newest = json.loads(run("truth", "last_ids", *address(served)).stdout)
    assert newest["SOL_USDC"]["trade_id"] >= 99_500_000
    trades = run("truth", "trades", *address(served), "--symbol", "SOL_USDC")
    assert trades.returncode == 0
    assert all(json.loads(line)["symbol"] == "SOL_USDC" for line in trades.stdout.splitlines())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["fault", "earthquake"], "invalid choice"),
        (["fault"], "name a fault"),
        (["fault", "gap", "--symbol", "NOPE"], "unknown symbol NOPE"),
        (["truth", "trades", "--symbol", "NOPE"], "unknown symbol NOPE"),
    ],
)
def test_a_wrong_order_is_exit_2_with_the_reason(served, arguments, says):
    """On stderr, without a traceback."""
    refused = run(*arguments, *address(served))
    assert refused.returncode == 2
    assert says in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_venue_that_is_not_there_is_one_line_and_exit_2(served):
    """It names the address."""
    ca = served["state_dir"] / "ca.pem"
    refused = run("fault", "gap", "--url", "https://127.0.0.1:9", "--ca", ca)
    assert refused.returncode == 2
    assert "https://127.0.0.1:9" in refused.stderr
    assert refused.stderr.count("\n") == 1
