"""`backpack-feed run` as an operator meets it: exit codes, one-line refusals, endpoints, secrets."""

import json
import signal
import socket
import subprocess
import sys
import time

import aiohttp
import pytest

from backpack_sandbox import Sandbox, SandboxConfig
from tests.support.conditions import eventually
from tests.support.handler_process import FeedProcess, taped_trades, write_config

SYMBOLS = ["SOL-USDC"]


@pytest.fixture
async def venue(tmp_path):
    async with Sandbox(SandboxConfig(state_dir=tmp_path / "venue", trades_per_second=10)) as venue:
        yield venue


def run_to_the_end(*arguments, flag="false"):
    return subprocess.run(
        [sys.executable, "-m", "backpack_feed.cli", *arguments],
        env={"CRYPTOFEED_BACKPACK_NATIVE": flag, "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )


@pytest.fixture
def config_file(tmp_path):
    path = tmp_path / "feed-00.yaml"
    path.write_text("instance_id: feed-00\nsymbols: [SOL-USDC]\n")
    return path


def test_a_mistyped_flag_ends_with_2_and_one_line(config_file):
    """Neither feed starts on a typing slip."""
    ended = run_to_the_end("run", "--config", str(config_file), flag="yes")
    assert ended.returncode == 2
    assert ended.stderr.startswith("backpack-feed: CRYPTOFEED_BACKPACK_NATIVE is 'yes': set it to")
    assert ended.stderr.count("\n") == 1


def test_a_bad_configuration_ends_with_2_and_names_file_and_key(config_file):
    """No traceback for a mistake of the operator."""
    config_file.write_text("instance_id: feed-00\nsymbols: SOL-USDC\n")
    ended = run_to_the_end("run", "--config", str(config_file))
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert f"backpack-feed: {config_file}: symbols: " in ended.stderr


def test_a_port_in_use_ends_with_2_and_names_the_port(config_file):
    """The line says which port, and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with config_file.open("a") as file:
            file.write(f"metrics: {{port: {port}}}\n")
        ended = run_to_the_end("run", "--config", str(config_file), flag="true")
    assert ended.returncode == 2
    refusal = ended.stderr.splitlines()[-1]
    assert f"cannot listen on 127.0.0.1:{port}: " in refusal
    assert "choose another port" in refusal
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("host", ["nosuch.invalid", "a..b", "203.0.113.1"])
def test_a_host_of_no_address_here_is_blamed_on_the_host(config_file, host):
    """Another port would not help."""
    with config_file.open("a") as file:
        file.write(f"metrics: {{host: {host}, port: 0}}\n")
    ended = run_to_the_end("run", "--config", str(config_file), flag="true")
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].startswith(f"backpack-feed: metrics.host: {host} ")
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("flag", ["true", "false"])
def test_a_missing_authority_ends_either_variant_with_2_and_one_line(config_file, flag):
    """Before anything listens: key, path and remedy."""
    with config_file.open("a") as file:
        file.write("venue: {ca_file: no.pem}\n")
    ended = run_to_the_end("run", "--config", str(config_file), flag=flag)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    missing = config_file.parent / "no.pem"
    assert f"{config_file}: venue.ca_file: {missing} cannot be read: No such file" in ended.stderr


def test_a_tape_that_cannot_be_opened_ends_with_2_and_names_the_key(config_file):
    """The folder is right, the file in it is not."""
    (config_file.parent / "tape" / "trades.jsonl").mkdir(parents=True)
    with config_file.open("a") as file:
        file.write("sinks: [{directory: tape}]\n")
    ended = run_to_the_end("run", "--config", str(config_file), flag="true")
    assert ended.returncode == 2
    assert "backpack-feed: sinks[0].directory: " in ended.stderr
    assert "Is a directory" in ended.stderr


@pytest.mark.parametrize("native", [True, False], ids=["native", "ccxt"])
async def test_an_unknown_symbol_ends_with_2_and_is_named(venue, tmp_path, native):
    """A symbol that the venue does not list cannot be waited for."""
    path = write_config(tmp_path, venue, ["SOL-USDX"])
    async with FeedProcess(path, native=native) as feed:
        await eventually(lambda: feed.process.returncode is not None, 15, lambda: feed.log)
        assert await feed.end(signal.SIGTERM) == 2
    assert feed.log[-1].startswith("backpack-feed: symbols: ")
    assert "SOL-USDX" in feed.log[-1]


async def traded(feed):
    """Return the snapshot once a trade of SOL-USDC was delivered."""
    snapshot = await feed.snapshot()
    return snapshot if snapshot["metrics"]["trades"].get("SOL-USDC") else None


async def test_endpoints_speak_and_sigterm_ends_within_five_seconds(venue, tmp_path):
    """Metrics at zero, health, snapshot; then a graceful end with every trade on the tape."""
    path = write_config(tmp_path, venue, SYMBOLS, credentials_file=str(venue.api_key_file))
    async with FeedProcess(path, native=True) as feed:
        await feed.ready()
        snapshot = await eventually(lambda: traded(feed), 20)
        assert snapshot["instance_id"] == "feed-00"
        assert snapshot["variant"] == "native"
        assert snapshot["pid"] == feed.process.pid
        book = snapshot["books"]["SOL-USDC"]
        assert book["synced"]
        assert float(book["best_bid"]) < float(book["best_ask"])

        async with aiohttp.ClientSession(f"http://127.0.0.1:{feed.port}") as http:

            async def healthy():
                async with http.get("/healthz") as answer:
                    body = await answer.json()
                    assert answer.status == (200 if body["healthy"] else 503)
                    return body["healthy"]

            await eventually(healthy)
            async with http.get("/metrics") as answer:
                text = await answer.text()
        labels = '{instance_id="feed-00",variant="native"}'
        for name in ("ws_errors", "auth_failures", "dropped_messages", "trades_lost"):
            assert f"backpack_feed_{name}_total{labels} 0.0" in text
        assert f"backpack_feed_ready{labels} 1.0" in text
        assert "process_start_time_seconds " in text

        asked = time.monotonic()
        assert await feed.end(signal.SIGTERM) == 0
        assert time.monotonic() - asked < 9
    assert len(taped_trades(tmp_path)["SOL-USDC"]) >= snapshot["metrics"]["trades"]["SOL-USDC"]
    key = json.loads(venue.api_key_file.read_text())
    for secret in key.values():
        assert secret not in "\n".join(feed.log)
        assert secret not in text


async def test_an_unreachable_venue_is_waited_for(venue, tmp_path):
    """The process stays up, says it is not ready, and ends gracefully."""
    path = write_config(tmp_path, venue, SYMBOLS)
    path.write_text(path.read_text().replace(f":{venue.port}", ":9"))
    async with FeedProcess(path, native=False) as feed:
        await eventually(lambda: any("cannot be loaded" in line for line in feed.log), 15)
        assert any("cannot be loaded" in line and "Connect" in line for line in feed.log)
        snapshot = await feed.snapshot()
        assert snapshot["ready"] is False
        assert snapshot["reasons"] == ["SOL-USDC: not ready: no book in sync yet"]
        assert await feed.end(signal.SIGTERM) == 0
