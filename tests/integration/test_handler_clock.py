"""The clock of a feed's host is set by an hour in mid-flow: nothing is stale, nothing hides it."""

import time
from pathlib import Path

import pytest

from backpack_sandbox import Sandbox, SandboxConfig
from tests.support.conditions import eventually
from tests.support.handler_process import FeedProcess, taped_trades, write_config

SYMBOL = "SOL-USDC"
HOUR_SECONDS = 3600


class HostClock:
    """The wall clock of a process, as libfaketime shows it; its monotonic clock stays."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "clock"
        self.set(0)

    def set(self, ahead_seconds: int) -> None:
        self.file.write_text(f"{ahead_seconds:+d}")

    def environment(self) -> dict[str, str]:
        (library,) = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
        return {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }


@pytest.mark.parametrize("native", [True, False], ids=["native", "ccxt"])
@pytest.mark.parametrize("step_seconds", [HOUR_SECONDS, -HOUR_SECONDS])
async def test_a_step_of_the_clock_changes_no_age_and_no_connection(tmp_path, native, step_seconds):
    """Books stay young, the socket stays, and the last message is as new by the new clock."""
    clock = HostClock(tmp_path)
    config = SandboxConfig(state_dir=tmp_path / "venue", trades_per_second=8)
    async with Sandbox(config) as venue:
        path = write_config(tmp_path, venue, [SYMBOL])
        async with FeedProcess(path, native=native, environment=clock.environment()) as feed:
            before = await feed.ready()
            clock.set(step_seconds)
            stepped = time.time() + step_seconds

            async def is_heard_by_the_new_clock():
                return abs((await _heard_at(feed)) - stepped) < 60

            await eventually(is_heard_by_the_new_clock, 15, lambda: feed.log)
            taped = len(taped_trades(tmp_path).get(SYMBOL, ()))
            await eventually(lambda: len(taped_trades(tmp_path).get(SYMBOL, ())) > taped + 5, 15)
            after = await feed.snapshot()
            assert after["healthy"]
            assert after["metrics"]["symbol_snapshot_age"][SYMBOL] < 10
            for count in ("reconnects", "book_resyncs", "ws_errors", "trades_lost"):
                assert after["metrics"][count] == before["metrics"][count], count
            venue.faults.add("stale")

            async def is_found_stale():
                seen = await feed.snapshot()
                return seen["metrics"]["symbol_snapshot_age"][SYMBOL] > 3

            await eventually(is_found_stale, 15, lambda: feed.log)


async def _heard_at(feed: FeedProcess) -> float:
    snapshot = await feed.snapshot()
    return snapshot["metrics"]["last_message_timestamp"].get(SYMBOL, 0.0)
