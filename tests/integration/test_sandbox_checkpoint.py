"""Restarts from a checkpoint: the same as a fold of the whole ledger, whatever killed the venue."""

import asyncio
import random
import shutil
import signal
import sys
from contextlib import contextmanager

import pytest

from backpack_sandbox.account.snapshot import dump_accounts
from backpack_sandbox.market.catalog import build_catalog
from backpack_sandbox.truth.checkpoint import fitting_checkpoint
from backpack_sandbox.truth.ledger import CHECKPOINT_SHARE
from backpack_sandbox.truth.recovery import recover
from backpack_sandbox.truth.resume import open_truth
from backpack_sandbox.truth.store import TruthStore
from tests.support.conditions import eventually
from tests.support.sandbox_client import running_venue

CATALOG = build_catalog()
CHECKPOINT_BYTES = 150_000
VENUE = """
import asyncio, sys
from pathlib import Path
from backpack_sandbox import Sandbox, SandboxConfig

async def main():
    config = SandboxConfig(
        state_dir=Path(sys.argv[1]), rate=60.0, trades_per_second=20.0,
        checkpoint_bytes=int(sys.argv[2]),
    )
    async with Sandbox(config) as venue:
        print("ready", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@contextmanager
def opened(state_dir):
    """The truth as a restart finds it, on a copy: the directory stays as the kill left it."""
    copy = state_dir.with_name(f"{state_dir.name}-copy")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(state_dir, copy)
    ledger, recovered = open_truth(copy / "ledger.jsonl", copy / "truth.sqlite", CATALOG)
    with ledger:
        yield ledger, recovered


def told(ledger, recovered):
    """All that a restart goes on with, and the truth of some ids of each market."""
    books = {}
    for symbol in recovered.states:
        oldest, newest = ledger.books.span(symbol)
        step = max(1, (newest - oldest) // 40)
        ids = [*range(oldest, newest, step), newest]
        books[symbol] = [(number, ledger.books.book(symbol, number)) for number in ids]
    return {
        "states": {symbol: _standing(state) for symbol, state in recovered.states.items()},
        "accounts": dump_accounts(recovered.accounts, recovered.history),
        "books": books,
        "trades": {symbol: ledger.trades(symbol) for symbol in recovered.states},
    }


def _standing(state):
    """Without the newest order id: of the flow's orders that nobody saw the ledger has none."""
    orders = sorted(state.orders, key=lambda order: order.order_id)
    return state.bids, state.asks, state.last_update_id, state.last_trade_id, orders


def checkpoint_of(state_dir):
    store = TruthStore(state_dir / "truth.sqlite")
    try:
        return fitting_checkpoint(store.read_checkpoint(), state_dir / "ledger.jsonl")
    finally:
        store.close()


def checkpoint_size(state_dir):
    store = TruthStore(state_dir / "truth.sqlite")
    try:
        return len(store.read_checkpoint())
    finally:
        store.close()


def assert_same_as_a_full_fold(state_dir):
    """Resumed from what is there, and from the ledger alone; return what both say."""
    with opened(state_dir) as found:
        resumed = told(*found)
    bare = state_dir.with_name(f"{state_dir.name}-bare")
    shutil.rmtree(bare, ignore_errors=True)
    bare.mkdir()
    shutil.copy(state_dir / "ledger.jsonl", bare)
    with opened(bare) as found:
        folded = told(*found)
    plain = recover(bare / "ledger.jsonl", CATALOG)
    assert dump_accounts(plain.accounts, plain.history) == folded["accounts"]
    for part, content in folded.items():
        assert resumed[part] == content, part
    return folded


async def test_a_venue_killed_at_any_moment_goes_on_as_a_full_fold_would(tmp_path):
    """Kill -9 again and again on the same state; checkpoints are written every few moments."""
    moments = random.Random(11)
    state_dir = tmp_path / "venue"
    used = 0
    for _ in range(5):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", VENUE, state_dir, str(CHECKPOINT_BYTES),
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert await process.stdout.readline() == b"ready\n"
        await grown(state_dir / "ledger.jsonl", moments.randrange(100_000, 600_000))
        process.send_signal(signal.SIGKILL)
        await process.wait()
        process._transport.close()
        checkpoint = checkpoint_of(state_dir)
        if checkpoint is not None:
            used += 1
            read = (state_dir / "ledger.jsonl").stat().st_size - checkpoint.ledger_bytes
            assert read < 2 * max(CHECKPOINT_BYTES, CHECKPOINT_SHARE * checkpoint_size(state_dir))
        assert_same_as_a_full_fold(state_dir)
    assert used >= 3


async def grown(ledger, by_bytes):
    """Wait until the venue has published this much more."""
    enough = ledger.stat().st_size + by_bytes
    await eventually(lambda: ledger.stat().st_size > enough, 30)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """The state of a venue that came to a clean end."""
    state_dir = tmp_path_factory.mktemp("stopped") / "venue"

    async def run():
        async with running_venue(state_dir, checkpoint_bytes=CHECKPOINT_BYTES) as venue:
            for _ in range(10):
                venue.advance(3)

    asyncio.run(run())
    return state_dir


def test_after_a_clean_stop_nothing_of_the_ledger_is_read(stopped):
    """And what is found is the same."""
    checkpoint = checkpoint_of(stopped)
    assert checkpoint.ledger_bytes == (stopped / "ledger.jsonl").stat().st_size
    assert_same_as_a_full_fold(stopped)


@pytest.mark.parametrize("damage", ["truncated", "garbled", "half", "empty", "text", "missing"])
def test_a_torn_checkpoint_is_none(stopped, tmp_path, damage):
    """Whatever is left of the file, the ledger says where to go on."""
    state_dir = tmp_path / "venue"
    shutil.copytree(stopped, state_dir)
    file = state_dir / "truth.sqlite"
    content = file.read_bytes()
    match damage:
        case "truncated":
            file.write_bytes(content[:-5000])
        case "garbled":
            place = content.index(b"ledger_bytes")
            file.write_bytes(content[:place] + b"LEDGER" + content[place + 6 :])
        case "half":
            file.write_bytes(content[: len(content) // 2])
        case "empty":
            file.write_bytes(b"")
        case "text":
            file.write_text("no database\n" * 1000)
        case "missing":
            file.unlink()
    folded = assert_same_as_a_full_fold(state_dir)
    assert folded["trades"]["SOL_USDC"]


def test_a_checkpoint_of_another_ledger_is_none(stopped, tmp_path):
    """A ledger that was cut, or put in the place of the old one."""
    state_dir = tmp_path / "venue"
    shutil.copytree(stopped, state_dir)
    ledger = state_dir / "ledger.jsonl"
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join(lines[: len(lines) // 2]))
    assert checkpoint_of(state_dir) is None
    assert_same_as_a_full_fold(state_dir)
    tail = b"".join(lines[len(lines) // 2 :])
    ledger.write_bytes(b"".join(lines[: len(lines) // 2]) + tail.replace(b'"E":1', b'"E":2'))
    assert checkpoint_of(state_dir) is None


async def test_a_venue_knows_its_books_from_before_the_restart(tmp_path):
    """The truth of every id since the ledger began."""
    async with running_venue(tmp_path) as venue:
        venue.advance(20)
        oldest, newest = venue.books.span("SOL_USDC")
        before = [venue.books.book("SOL_USDC", n) for n in range(oldest, newest + 1)]
    async with running_venue(tmp_path) as venue:
        venue.advance(20)
        assert venue.books.span("SOL_USDC")[0] == oldest
        assert [venue.books.book("SOL_USDC", n) for n in range(oldest, newest + 1)] == before
        assert venue.books.span("SOL_USDC")[1] > newest
