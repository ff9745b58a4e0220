"""The programs in `examples/`, as a reader runs them, and the package that they need."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from backpack_sandbox import Sandbox
from tests.support.plain_environment import PlainEnvironment, environment
from tests.support.sandbox_client import running_venue

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PUBLIC = ["l2_book", "trades", "ticker", "candles", "funding", "index", "open_interest"]
PRIVATE = ["order_info", "fills", "balances", "positions"]
DEADLINE_SECONDS = 20

pytestmark = pytest.mark.alone

IMPORT_THE_FEED = """
import importlib, pkgutil, backpack_feed, tools.backpack_auth_check
for module in pkgutil.walk_packages(backpack_feed.__path__, "backpack_feed."):
    if module.name != "backpack_feed.plugin" and not module.name.startswith("backpack_feed.incumb"):
        importlib.import_module(module.name)
"""


@pytest.fixture
async def venue(tmp_path):
    async with running_venue(tmp_path / "venue", trades_per_second=6.0, paused=False) as venue:
        yield venue


class Example:
    """A running example: its lines as they come, its exit code."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.channels: list[str] = []

    async def shows(self, channels: Iterable[str]) -> None:
        """Read lines until every channel was printed."""
        missing = set(channels)
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                while missing and (line := await self.process.stdout.readline()):
                    self.channels.append(line.decode().split()[0])
                    missing.discard(self.channels[-1])
        except TimeoutError:
            self.process.kill()
        assert not missing, f"without {missing}: {(await self.process.stderr.read()).decode()}"

    async def end(self) -> int:
        """The exit code, after all output; nothing may be on stderr."""
        rest, errors = await self.process.communicate()
        self.channels += [line.split()[0] for line in rest.decode().splitlines()]
        assert errors.decode() == ""
        return self.process.returncode


@asynccontextmanager
async def example(
    venue: Sandbox, name: str, *arguments: Any, python: Path | str = sys.executable
) -> AsyncIterator[Example]:
    """Start `examples/<name>` against the venue, in an empty directory."""
    address = ["--rest-url", venue.rest_url, "--ws-url", venue.ws_url, "--ca-file", venue.ca_file]
    elsewhere = venue.config.state_dir.parent / "elsewhere"
    elsewhere.mkdir()
    process = await asyncio.create_subprocess_exec(
        str(python),
        str(EXAMPLES / name),
        *map(str, [*address, *arguments]),
        cwd=elsewhere,
        env=environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(2 * DEADLINE_SECONDS):
            yield Example(process)
        assert list(elsewhere.iterdir()) == []
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def test_the_public_example_prints_every_channel_until_ctrl_c(venue):
    """Candles, funding and index within seconds; a minute of market brings open interest."""
    async with example(venue, "public.py", "--events", 10**6) as shown:
        await shown.shows(set(PUBLIC) - {"open_interest"})
        venue.advance(300)
        await shown.shows(["open_interest", "liquidations"])
        shown.process.send_signal(signal.SIGINT)
        assert await shown.end() == 0


async def test_the_private_example_prints_every_channel_of_the_account(venue):
    """Balances come from REST at once, the rest when the house trades."""
    credentials = ["--credentials", venue.api_key_file]
    async with example(venue, "private.py", *credentials, "--events", 10**6) as shown:
        await shown.shows(["balances"])
        venue.advance(120)
        await shown.shows(PRIVATE)
        shown.process.send_signal(signal.SIGINT)
        assert await shown.end() == 0


@pytest.mark.parametrize(
    ("name", "arguments", "reason"),
    [
        ("public.py", ["--symbols", "SOL-USD", "--channels", "trades"], "did you mean SOL-USDC"),
        ("private.py", ["--credentials", "nowhere.json"], "nowhere.json"),
    ],
)
async def test_a_wrong_argument_is_one_line_and_exit_2(venue, name, arguments, reason):
    """Which one, and what to do; no traceback."""
    async with example(venue, name, *arguments) as shown:
        _, errors = await shown.process.communicate()
        assert shown.process.returncode == 2
        assert errors.decode().count("\n") == 1
        assert reason in errors.decode()


async def test_the_package_runs_the_public_example_where_there_is_no_airflow(venue, tmp_path):
    """`pip install .` into an empty environment: what the wheel declares is all that it needs."""
    plain = PlainEnvironment(tmp_path / "plain")
    await asyncio.to_thread(plain.create)
    assert "No broken requirements" in await asyncio.to_thread(plain.check)
    for absent in ("airflow", "ccxt", "sqlalchemy", "trustme"):
        assert f"No module named '{absent}'" in plain.run(f"import {absent}").stderr
    imported = plain.run(IMPORT_THE_FEED)
    assert (imported.returncode, imported.stderr) == (0, "")
    async with example(venue, "public.py", "--events", 200, python=plain.python) as shown:
        assert await shown.end() == 0
        assert len(shown.channels) == 200
        assert set(shown.channels) >= {"l2_book", "trades"}
