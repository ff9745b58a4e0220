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
    assert {"ca.pem", "api_key.json", "trader_api_key.json", "ledger.jsonl"} <= {
        path.name for path in served["state_dir"].iterdir()
    }


def test_serve_tells_no_key(served):
    """Neither account's key, and neither file, is in the line that it prints."""
    assert served.keys() - {"process", "state_dir"} == {"ready", "port", "rest_url", "ws_url"}


def test_a_port_in_use_is_one_line_and_exit_2(served, tmp_path: Path):
    """It names the port and the remedy."""
    second = run("serve", "--state-dir", tmp_path, "--port", served["port"])
    assert second.returncode == 2
    assert second.stderr.count("\n") == 1
    assert f"port {served['port']} of 127.0.0.1 is already in use" in second.stderr


def test_another_seed_on_an_old_directory_is_told_on_stderr(tmp_path: Path):
    """Its books go on; the line on stdout is the same as ever."""
    said = []
    for seed in ("7", "8"):
        serve = [*COMMAND, "serve", "--state-dir", str(tmp_path), "--port", "0", "--seed", seed]
        with subprocess.Popen(
            serve, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout
            assert json.loads(process.stdout.readline())["ready"]
            process.terminate()
            said.append(process.communicate(timeout=10))
    assert said[0] == ("", "")
    assert said[1][1].startswith(f"backpack-sandbox: --seed 8: {tmp_path} was begun with seed 7;")
    assert (said[1][0], said[1][1].count("\n")) == ("", 1)


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
        (["fault", "earthquake"], "choose from 'auth_failure', 'signature_refused'"),
        (["fault", "gap", "--share", "2"], "share was 2, must"),
        (["fault", "disconnect", "--symbol", "SOL_USDC"], "only crossed, delay, duplicate"),
        (["fault"], "name a fault"),
        (["fault", "gap", "--symbol", "NOPE"], "unknown symbol NOPE"),
        (["fault", "gap", "--stream", "nope"], "stream 'nope' can match none"),
        (["fault", "rest_html", "--status", "700"], "status was 700, must be a number from 200"),
        (["truth", "trades", "--symbol", "NOPE"], "unknown symbol NOPE"),
        (["truth", "book", "--frob"], "see backpack-sandbox truth book --help"),
        (["scenario", "stop", "now"], "see backpack-sandbox scenario stop --help"),
    ],
)
def test_a_wrong_order_is_exit_2_with_the_reason(served, arguments, says):
    """On stderr, without a traceback."""
    refused = run(*arguments, *address(served))
    assert refused.returncode == 2
    assert says in refused.stderr
    assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--port", "99999", "--port: must be a number from 0 to 65535"),
        ("--port", "-1", "--port: must be a number from 0 to 65535"),
        ("--port", "http", "--port: must be a number from 0 to 65535"),
        ("--rate", "abc", "--rate: must be a number above 0, was 'abc'"),
        ("--rate", "nan", "--rate: must be a number above 0, was 'nan'"),
        ("--taker-delay", "-1", "--taker-delay: must be a number of at least 0, was '-1'"),
        ("--requests-per-minute", "0", "--requests-per-minute: must be a whole number above 0"),
        ("--profile", "huge", "--profile: invalid choice: 'huge'"),
        ("--scenario", "nope", "--scenario: unknown scenario 'nope': choose one of cdn_outage"),
        ("--host", "nosuch.invalid", "cannot listen on nosuch.invalid"),
        ("--host", "a..b", "cannot listen on a..b"),
        ("--fault", "frob", "choose from 'auth_failure', 'signature_refused'"),
    ],
)
def test_a_venue_that_cannot_be_served_is_one_line_and_exit_2(tmp_path, option, value, says):
    """The option is named, and what it should be."""
    refused = run("serve", "--state-dir", tmp_path, "--port", 0, option, value)
    assert refused.returncode == 2
    assert says in refused.stderr
    assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("url", "ca", "says"),
    [
        ("https://127.0.0.1:abc", "ca.pem", "--url https://127.0.0.1:abc: must be https://host"),
        ("https://[::1", "ca.pem", "--url https://[::1: must be https://host"),
        ("https://a b", "ca.pem", "--url https://a b: must be https://host"),
        ("https://127.0.0.1:9/api/v1", "ca.pem", "--url https://127.0.0.1:9/api/v1: has a path"),
        ("http://127.0.0.1:9", "ca.pem", "--url http://127.0.0.1:9: must be https://host"),
        ("https://127.0.0.1:9", "no.pem", "no.pem cannot be read: No such file"),
        ("https://127.0.0.1:9", "ledger.jsonl", "ledger.jsonl cannot be read: "),
    ],
)
def test_a_wrong_address_is_one_line_and_exit_2(served, url, ca, says):
    """The option at fault is named before anything is sent."""
    refused = run("fault", "gap", "--url", url, "--ca", served["state_dir"] / ca)
    assert refused.returncode == 2
    assert says in refused.stderr
    assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("fault", ["what the venue does to its clients", "share of the frames"]),
        ("serve", ["start with this fault on"]),
    ],
)
def test_help_explains_the_fault_and_its_share(command, says):
    """Every word of the command line has a help text."""
    text = " ".join(run(command, "--help").stdout.split())
    assert all(part in text for part in says)


def test_a_venue_that_is_not_there_is_one_line_and_exit_2(served):
    """It names the address."""
    ca = served["state_dir"] / "ca.pem"
    refused = run("fault", "gap", "--url", "https://127.0.0.1:9", "--ca", ca)
    assert refused.returncode == 2
    assert "https://127.0.0.1:9" in refused.stderr
    assert refused.stderr.count("\n") == 1
