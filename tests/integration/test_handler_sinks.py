"""Sinks by configuration, in one process with a real loopback receiver."""

import asyncio
import json

import pytest
from cryptofeed.exchanges import EXCHANGE_MAP

from backpack_feed.process.config import (
    CryptofeedSink,
    HandlerConfig,
    MetricsConfig,
    TapeSink,
    VenueConfig,
)
from backpack_feed.process.handler import HandlerProcess
from backpack_feed.process.sinks import open_sinks
from backpack_feed.process.tape_file import TapeFile
from backpack_feed.refusal import ConfigError, SinkError
from backpack_feed.toggle import FLAG, bind
from backpack_sandbox import Sandbox, SandboxConfig
from tests.support.conditions import eventually

SYMBOL = "SOL-USDC"


@pytest.fixture(autouse=True)
def native(monkeypatch):
    """Bind the native feed for the test only."""
    monkeypatch.setitem(EXCHANGE_MAP, "BACKPACK", None)
    bind({FLAG: "true"})


@pytest.fixture
async def venue(tmp_path):
    async with Sandbox(SandboxConfig(state_dir=tmp_path / "venue", trades_per_second=8)) as venue:
        yield venue


@pytest.fixture
async def receiver():
    """A TCP server that keeps the JSON lines it gets."""
    lines: list[dict] = []

    async def receive(reader, writer):
        while line := await reader.readline():
            lines.append(json.loads(line))
        writer.close()

    server = await asyncio.start_server(receive, "127.0.0.1", 0)
    async with server:
        yield lines, server.sockets[0].getsockname()[1]


def config(venue, sinks, **extra):
    return HandlerConfig(
        instance_id="feed-00",
        symbols=(SYMBOL,),
        venue=VenueConfig(rest_url=venue.rest_url, ws_url=venue.ws_url, ca_file=venue.ca_file),
        metrics=MetricsConfig(),
        sinks=sinks,
        **extra,
    )


async def test_a_cryptofeed_backend_continues_at_its_checkpoint(venue, receiver, tmp_path):
    """Runs of both feeds, with a pause after each, deliver one unbroken sequence of ids."""
    lines, port = receiver
    sink = CryptofeedSink(
        channel="trades",
        backend="cryptofeed.backends.socket.TradeSocket",
        options={"addr": "tcp://127.0.0.1", "port": port, "batch_interval": 0.05},
    )
    settings = config(venue, (sink,), checkpoint_directory=tmp_path / "checkpoints")
    for run, variant in enumerate(("native", "ccxt", "native"), 1):
        process = HandlerProcess(settings, bind({FLAG: str(variant == "native").lower()}))
        task = asyncio.create_task(process.run())
        await eventually(lambda run=run: len(lines) >= 12 * run)
        process.stop()
        await task
        seen = len(lines)
        await eventually(lambda seen=seen: len(lines) == seen)
    ids = [int(line["data"]["id"]) for line in lines]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert (tmp_path / "checkpoints" / "SOL-USDC.trade_id").read_text() == f"{ids[-1]}\n"


async def test_a_broken_tape_stops_the_process_with_its_reason(venue, tmp_path, monkeypatch):
    """Going on without the tape would lose trades, so the process ends and says why."""
    process = HandlerProcess(config(venue, (TapeSink(directory=tmp_path / "tape"),)), "native")

    def full(_self, _line):
        raise SinkError("trades.jsonl: disk full: free space, then restart")

    monkeypatch.setattr(TapeFile, "append", full)
    with pytest.raises(SinkError, match="disk full") as caught:
        await asyncio.wait_for(process.run(), 15)
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    ("backend", "options", "complaint"),
    [
        ("no.such.Thing", {}, r"sinks\[0\].backend: no.such.Thing cannot be imported"),
        ("json.dumps", {}, "is not a cryptofeed callback class"),
        (
            "cryptofeed.backends.socket.TradeSocket",
            {"addr": "tcp://127.0.0.1", "pw": "hunter2"},
            r"sinks\[0\].options: .* refused them \(addr, pw\): TypeError",
        ),
    ],
)
def test_a_sink_that_cannot_be_made_is_named_without_its_values(
    tmp_path, backend, options, complaint
):
    """Options may hold passwords: only their names are told."""
    settings = HandlerConfig(
        instance_id="a",
        symbols=(SYMBOL,),
        sinks=(CryptofeedSink(channel="trades", backend=backend, options=options),),
        checkpoint_directory=tmp_path,
    )
    with pytest.raises(ConfigError, match=complaint) as caught:
        open_sinks(settings, "native", lambda _refusal: None)
    assert "hunter2" not in str(caught.value)


def test_a_backend_blocks_rather_than_drops_unless_told_otherwise(tmp_path):
    """The default of cryptofeed itself drops the oldest."""
    made = []
    for options in ({}, {"overflow": "drop_new"}):
        sink = CryptofeedSink(
            channel="trades",
            backend="cryptofeed.backends.socket.TradeSocket",
            options={"addr": "tcp://127.0.0.1", "port": 1, **options},
        )
        settings = HandlerConfig(
            instance_id="a", symbols=(SYMBOL,), sinks=(sink,), checkpoint_directory=tmp_path
        )
        made.append(open_sinks(settings, "native", lambda _refusal: None).backends[0].overflow)
    assert made == ["block", "drop_new"]
